import { setTimeout as sleep } from "node:timers/promises";
import {
  openStore,
  queuePrefix,
  recipe as recipeSchema,
  ReleaseStack,
  resolveLocation,
  LiveRun,
  stopReasonToThrow,
  type Device,
  type ObjectStore,
  type RecipeInput,
} from "@trommel/common";
import { startLocalCluster, type LocalCluster } from "#trommel/cluster/local-cluster";
import { JobProducer } from "#coordinator/run-control/queueing/job-producer";
import { resolveRun } from "#coordinator/resolve/run";
import { resolveScoring } from "#coordinator/resolve/scoring/resolve-scoring";
import { startAttempt } from "#coordinator/run-control/attempts";
import { readResult } from "#coordinator/run-control/result";
import type { Subject } from "#coordinator/run-control/subject";
import { pino } from "pino";
import { z } from "zod";
import { machineBusySeconds, processCpuSeconds } from "../measure/process-usage.js";

const pollMs = 100;
const shardSize = 256;

/** What a worker returns of a shard. */
const shardOutcome = z.object({ images: z.int(), deviceIdle: z.number() });

export interface BenchClusterOptions {
  /** Folder of the store. */
  readonly store: string;
  /** Of each worker. */
  readonly threads: number;
  /** @default 1 */
  readonly workers?: number;
  /** @default "cpu" */
  readonly device?: Device;
  /** Views a batch. @default the worker's own */
  readonly batch?: number;
  /** `extract` alone keeps the later stages out of a measurement. */
  readonly queues: readonly string[];
}

type Asked = Parameters<typeof resolveScoring>[0];

/** A source of any kind, as a scoring is asked for it. */
export type ScoredSource = Pick<Asked, "source" | "manifest" | "archives">;

export interface Throughput {
  /** From the start of the first shard to the commit of the last one. */
  readonly seconds: number;
  /** CPU time of the first worker process meanwhile. */
  readonly cpuSeconds: number;
  /** From the command to its end, with the listing before the first shard and what follows the last one. */
  readonly wholeSeconds: number;
  /** CPU time of every other process of the machine meanwhile, this one's coordinator among them. */
  readonly otherCpuSeconds: number;
  readonly images: number;
  /** Share of a shard's time, 0 to 1, in which the worker's device had no batch of any shard; mean over the shards. */
  readonly deviceIdle: number;
}

/** A real redis-server, a coordinator in this process and worker processes, as the CLI starts them. */
export class BenchCluster {
  readonly #store: ObjectStore;
  readonly #releases: ReleaseStack;
  readonly #cluster: LocalCluster;
  readonly #producer: JobProducer;

  private constructor(
    store: ObjectStore,
    releases: ReleaseStack,
    cluster: LocalCluster,
    producer: JobProducer,
  ) {
    this.#store = store;
    this.#releases = releases;
    this.#cluster = cluster;
    this.#producer = producer;
  }

  static async start({
    store: folder,
    threads,
    workers = 1,
    device = "cpu",
    batch,
    queues,
  }: BenchClusterOptions): Promise<BenchCluster> {
    const releases = new ReleaseStack();
    const store = openStore(resolveLocation(folder));
    releases.add("store", () => store.close());
    const cluster = await startLocalCluster({
      store,
      workers,
      workerFlags: [
        ...["--device", device, "--threads", String(threads), "--queues", ...queues],
        ...(batch === undefined ? [] : ["--batch", String(batch)]),
      ],
      log: pino({ level: "warn" }, process.stderr),
      notice: (line) => void process.stderr.write(`${line}\n`),
      workerOutput: "inherit",
    });
    releases.add("cluster", () => cluster.stop());
    const producer = new JobProducer(cluster.redisUrl);
    releases.add("producer", () => producer.close());
    return new BenchCluster(store, releases, cluster, producer);
  }

  get workerPid(): number {
    const [pid] = this.#cluster.workerPids;
    if (pid === undefined) throw new Error("the worker has ended; its own words are above");
    return pid;
  }

  /** Queues a run and waits until every one of its shards is committed. */
  async extract(id: string, dataset: string, recipe: RecipeInput): Promise<Throughput> {
    const store = this.#store;
    const { config, claim } = await resolveRun({
      store,
      id,
      dataset,
      recipe: recipeSchema.parse(recipe),
      output: undefined,
    });
    await claim();
    return await this.#measure("extract", { kind: "run", id, config }, async (liveRun, attempt) => {
      const { done, total } = await liveRun.progress(attempt, "extract");
      const listed = (await liveRun.progress(attempt, "gram")).total > 0;
      return listed && total > 0 && done >= total;
    });
  }

  /** Scores every picture under `source`, and waits until the scoring is closed. */
  async score(source: string, model: string, output: string): Promise<Throughput> {
    return await this.scoreSource({ source }, model, output);
  }

  /** The same of a source of any kind. */
  async scoreSource(asked: ScoredSource, model: string, output: string): Promise<Throughput> {
    return await this.#score({ ...asked, model, output, shardSize });
  }

  /** Scores every row of the stored features of a run, and waits until the scoring is closed. */
  async scoreFeatures(run: string, model: string, output: string): Promise<Throughput> {
    return await this.#score({ source: undefined, featuresOf: run, model, output });
  }

  async #score(
    asked: ScoredSource & Pick<Asked, "featuresOf" | "model" | "output" | "shardSize">,
  ): Promise<Throughput> {
    const store = this.#store;
    const { config, claim } = await resolveScoring({
      ...{ store, ...asked },
      ...{ topK: undefined, formats: undefined },
    });
    await claim();
    const subject: Subject = { kind: "scoring", id: config.id, config };
    return await this.#measure(
      "score",
      subject,
      async () => (await readResult(store, subject)) !== undefined,
    );
  }

  /** Waits for the bundle of a run that was begun by {@link extract}. */
  async finish(id: string, dataset: string, recipe: RecipeInput): Promise<void> {
    const store = this.#store;
    const resolved = recipeSchema.parse(recipe);
    const { config } = await resolveRun({ store, id, dataset, recipe: resolved, output: undefined });
    const liveRun = new LiveRun(this.#producer.redis, id);
    while ((await readResult(store, { kind: "run", id, config })) === undefined) {
      await this.#throwIfFailed(liveRun);
      await sleep(pollMs);
    }
  }

  async stop(): Promise<void> {
    await this.#releases.releaseAll();
  }

  async #measure(
    stage: "extract" | "score",
    subject: Subject,
    isDone: (liveRun: LiveRun, attempt: number) => Promise<boolean>,
  ): Promise<Throughput> {
    const pid = this.workerPid;
    const start = performance.now();
    const cpuBefore = await processCpuSeconds(pid);
    const machineBefore = machineBusySeconds();
    const attempt = await startAttempt(this.#store, subject, this.#producer, undefined);
    if (attempt === undefined) throw new Error(`another has started ${subject.id}`);
    const liveRun = new LiveRun(this.#producer.redis, subject.id);
    do {
      await sleep(pollMs);
      await this.#throwIfFailed(liveRun);
    } while (!(await isDone(liveRun, attempt)));
    const wholeSeconds = (performance.now() - start) / 1000;
    const cpuSeconds = (await processCpuSeconds(pid)) - cpuBefore;
    const otherCpuSeconds = machineBusySeconds() - machineBefore - cpuSeconds;
    return {
      ...{ cpuSeconds, otherCpuSeconds, wholeSeconds },
      ...(await this.#shards(stage, `${subject.id}.${attempt}.${stage}.`)),
    };
  }

  async #throwIfFailed(liveRun: LiveRun): Promise<void> {
    this.#cluster.check();
    const error = (await liveRun.state())?.error;
    if (error !== undefined) throw stopReasonToThrow(error);
  }

  /** By the queue's own event stream, whose ids are Redis's clock in milliseconds. */
  async #shards(
    queue: string,
    jobPrefix: string,
  ): Promise<Pick<Throughput, "seconds" | "images" | "deviceIdle">> {
    const entries = await this.#producer.redis.xrange(`${queuePrefix}:${queue}:events`, "-", "+");
    const momentsMs: number[] = [];
    const outcomes: z.infer<typeof shardOutcome>[] = [];
    for (const [entryId, fields] of entries) {
      const field = (name: string): string | undefined => fields[fields.indexOf(name) + 1];
      const event = field("event");
      if (field("jobId")?.startsWith(jobPrefix) !== true || (event !== "active" && event !== "completed"))
        continue;
      momentsMs.push(Number(entryId.split("-")[0]));
      if (event === "completed") outcomes.push(shardOutcome.parse(JSON.parse(field("returnvalue") ?? "")));
    }
    return {
      seconds: (Math.max(...momentsMs) - Math.min(...momentsMs)) / 1000,
      images: outcomes.reduce((sum, { images }) => sum + images, 0),
      deviceIdle: outcomes.reduce((sum, { deviceIdle }) => sum + deviceIdle, 0) / outcomes.length,
    };
  }
}
