import { setTimeout as sleep } from "node:timers/promises";
import {
  queuePrefix,
  recipe as recipeSchema,
  RunBoard,
  runErrorToThrow,
  type RecipeInput,
} from "@trommel/common";
import { Session } from "@trommel/coordinator/cli/session";
import { startLocalCluster, type LocalCluster } from "@trommel/coordinator/cluster/local-cluster";
import { JobProducer } from "@trommel/coordinator/run-control/job-producer";
import { resolveRun } from "@trommel/coordinator/run-control/resolve-run";
import { readResult, startAttempt } from "@trommel/coordinator/run-control/run-state";
import { machineBusySeconds, processCpuSeconds } from "./process-usage.js";

const pollMs = 100;

export interface BenchClusterOptions {
  /** Folder of the store. */
  readonly store: string;
  readonly threads: number;
  /** `extract` alone keeps the later stages out of a measurement. */
  readonly queues: readonly string[];
}

export interface Extraction {
  /** From the start of the first shard to the commit of the last one. */
  readonly seconds: number;
  /** CPU time of the worker process meanwhile. */
  readonly cpuSeconds: number;
  /** CPU time of every other process of the machine meanwhile, this one's coordinator among them. */
  readonly otherCpuSeconds: number;
  readonly images: number;
}

/** A real redis-server, a coordinator in this process and one worker process, as the CLI starts them. */
export class BenchCluster {
  readonly #session: Session;
  readonly #cluster: LocalCluster;
  readonly #producer: JobProducer;

  private constructor(session: Session, cluster: LocalCluster, producer: JobProducer) {
    this.#session = session;
    this.#cluster = cluster;
    this.#producer = producer;
  }

  static async start({ store, threads, queues }: BenchClusterOptions): Promise<BenchCluster> {
    const session = new Session({ store, logLevel: "warn", json: true });
    const cluster = await startLocalCluster({
      store: session.store,
      workers: 1,
      workerFlags: ["--threads", String(threads), "--queues", ...queues],
      log: session.log,
    });
    session.releases.add("cluster", () => cluster.stop());
    const producer = new JobProducer(cluster.redisUrl);
    session.releases.add("producer", () => producer.close());
    return new BenchCluster(session, cluster, producer);
  }

  get workerPid(): number {
    const [pid] = this.#cluster.workerPids;
    if (pid === undefined) throw new Error("the worker has ended; its own words are above");
    return pid;
  }

  /** Queues a run and waits until every one of its shards is committed. */
  async extract(id: string, dataset: string, recipe: RecipeInput): Promise<Extraction> {
    const { store } = this.#session;
    const { config, claim } = await resolveRun({
      store,
      id,
      dataset,
      recipe: recipeSchema.parse(recipe),
      output: undefined,
    });
    await claim();
    const pid = this.workerPid;
    const cpuBefore = await processCpuSeconds(pid);
    const machineBefore = machineBusySeconds();
    const attempt = await startAttempt(store, { kind: "run", id, config }, this.#producer, undefined);
    if (attempt === undefined) throw new Error(`another has started ${id}`);
    const board = new RunBoard(this.#producer.redis, id);
    for (;;) {
      await sleep(pollMs);
      await this.#throwIfFailed(board);
      const { done, total, imagesDone } = await board.progress(attempt, "extract");
      const listed = (await board.progress(attempt, "gram")).total > 0;
      if (!listed || total === 0 || done < total) continue;
      const cpuSeconds = (await processCpuSeconds(pid)) - cpuBefore;
      const otherCpuSeconds = machineBusySeconds() - machineBefore - cpuSeconds;
      const seconds = await this.#shardSeconds(`${id}.${attempt}.extract.`);
      return { seconds, cpuSeconds, otherCpuSeconds, images: imagesDone };
    }
  }

  /** Waits for the bundle of a run that was begun by {@link extract}. */
  async finish(id: string, dataset: string, recipe: RecipeInput): Promise<void> {
    const { store } = this.#session;
    const resolved = recipeSchema.parse(recipe);
    const { config } = await resolveRun({ store, id, dataset, recipe: resolved, output: undefined });
    const board = new RunBoard(this.#producer.redis, id);
    while ((await readResult(store, { kind: "run", id, config })) === undefined) {
      await this.#throwIfFailed(board);
      await sleep(pollMs);
    }
  }

  async stop(): Promise<void> {
    await this.#session.close();
  }

  async #throwIfFailed(board: RunBoard): Promise<void> {
    this.#cluster.check();
    const error = (await board.state())?.error;
    if (error !== undefined) throw runErrorToThrow(error);
  }

  /** By the queue's own event stream, whose ids are Redis's clock in milliseconds. */
  async #shardSeconds(jobPrefix: string): Promise<number> {
    const entries = await this.#producer.redis.xrange(`${queuePrefix}:extract:events`, "-", "+");
    const momentsMs = entries.flatMap(([entryId, fields]) => {
      const event = fields[fields.indexOf("event") + 1];
      const job = fields[fields.indexOf("jobId") + 1] ?? "";
      const counts = job.startsWith(jobPrefix) && (event === "active" || event === "completed");
      return counts ? [Number(entryId.split("-")[0])] : [];
    });
    return (Math.max(...momentsMs) - Math.min(...momentsMs)) / 1000;
  }
}
