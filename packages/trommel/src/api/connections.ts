import { availableParallelism } from "node:os";
import { openStore, ReleaseStack, workerDefaults, type ObjectStore } from "@trommel/common";
import { checkRedis } from "@trommel/common/redis";
import { flushTracing } from "@trommel/common/tracing";
import { findCluster, JobProducer, type Subject } from "@trommel/coordinator/run-control";
import type { Logger } from "pino";
import { startLocalCluster, type LocalCluster } from "../cluster/local-cluster.js";
import { createLogger } from "./logger.js";
import { refuseWorkerSettings, type ResolvedOptions, type WorkerSettings } from "./options.js";

/** What a handle holds: its store, its connections to Redis, its embedded cluster, and everything that it must release. */
export class Connections {
  readonly options: ResolvedOptions;
  readonly store: ObjectStore;
  readonly log: Logger;
  readonly releases = new ReleaseStack();
  /** Runs and scorings whose note of the embedded cluster is released with it. */
  readonly noted = new Set<string>();
  readonly #producers = new Map<string, JobProducer>();
  #cluster: Promise<LocalCluster> | undefined;

  constructor(options: ResolvedOptions) {
    this.options = options;
    this.log = createLogger(options.log);
    this.store = openStore(options.storeUrl, { onNotice: (notice) => this.log.warn(notice) });
    this.releases.add("store", () => this.store.close());
  }

  /** A producer on the configured Redis, or undefined where none is configured. */
  async producer(): Promise<JobProducer | undefined> {
    const { redis } = this.options;
    if (redis === undefined) return undefined;
    const known = this.#producers.get(redis);
    if (known !== undefined && !known.isRefused) return known;
    await checkRedis(redis);
    // Redis grants by now what it refused the known one.
    if (known !== undefined) this.#producers.delete(redis);
    return this.#producerOn(redis);
  }

  /** A producer where a run is worked on: the configured Redis, else the embedded cluster that has it on this machine. */
  async producerOf(subject: Subject): Promise<JobProducer | undefined> {
    const configured = await this.producer();
    if (configured !== undefined) return configured;
    const found = await findCluster(this.store, subject);
    return found === undefined ? undefined : this.#producerOn(found);
  }

  /** A producer on the embedded cluster of another process that works on it; undefined for this handle's own. */
  async producerElsewhere(subject: Subject): Promise<JobProducer | undefined> {
    const found = await findCluster(this.store, subject);
    const own = await this.#cluster?.catch(() => undefined);
    return found === undefined || found === own?.redisUrl ? undefined : this.#producerOn(found);
  }

  /** A producer on the configured Redis, or on the embedded cluster, which the first call starts. */
  async producerOrCluster(): Promise<{ producer: JobProducer; cluster?: LocalCluster }> {
    const configured = await this.producer();
    if (configured !== undefined) {
      refuseWorkerSettings(this.options);
      return { producer: configured };
    }
    this.#cluster ??= this.#startCluster();
    const cluster = await this.#cluster;
    return { producer: this.#producerOn(cluster.redisUrl), cluster };
  }

  /** @throws TrommelError where the handle's own cluster has ended; nothing without one */
  async checkCluster(): Promise<void> {
    (await this.#cluster)?.check();
  }

  /** A cluster of the handle's own, with a Redis on a port where one is given. */
  async startCluster(redisPort?: number): Promise<LocalCluster> {
    const { env, notice, workerOutput, log } = this.options;
    const { workers, workerFlags } = localWorkers(this.options, log?.level ?? "warn");
    const cluster = await startLocalCluster({
      store: this.store,
      workers,
      workerFlags,
      log: this.log,
      notice,
      workerOutput,
      redisServer: env["TROMMEL_REDIS_SERVER"] ?? "redis-server",
      ...(redisPort === undefined ? {} : { redisPort }),
    });
    this.releases.add("cluster", () => cluster.stop());
    return cluster;
  }

  async close(): Promise<void> {
    // One that is starting is released as well.
    await this.#cluster?.catch(() => undefined);
    await flushTracing();
    for (const failure of await this.releases.releaseAll()) this.log.warn({ failure }, "failed to release");
  }

  async #startCluster(): Promise<LocalCluster> {
    try {
      return await this.startCluster();
    } catch (thrown) {
      // The next work may find what was missing, such as a redis-server.
      this.#cluster = undefined;
      throw thrown;
    }
  }

  #producerOn(redisUrl: string): JobProducer {
    let producer = this.#producers.get(redisUrl);
    if (producer === undefined) {
      const opened = new JobProducer(redisUrl);
      producer = opened;
      this.#producers.set(redisUrl, opened);
      this.releases.add("producer", () => opened.close());
    }
    return producer;
  }
}

/** More workers than this on one machine cost memory, and threads within them serve as well. */
const defaultWorkersAtMost = 4;

/**
 * By default there is one worker for each core up to four, for a worker with one thread wastes least; a GPU gets one. The cores
 * are shared out among them.
 */
function localWorkers(
  settings: WorkerSettings,
  logLevel: string,
): { workers: number; workerFlags: string[] } {
  const { device = "cpu", engine = "onnx", concurrency = workerDefaults.concurrency } = settings;
  const byDefault = device === "cpu" ? Math.min(availableParallelism(), defaultWorkersAtMost) : 1;
  const workers = settings.workers ?? byDefault;
  const threads = settings.threads ?? Math.max(1, Math.floor(availableParallelism() / workers));
  const optional = {
    "--batch": settings.viewsPerBatch,
    "--bytes-in-flight": settings.bytesInFlightMib,
    "--pixels-in-flight": settings.pixelsInFlightMib,
  };
  const workerFlags = [
    ...["--threads", String(threads), "--device", device, "--engine", engine],
    ...["--concurrency", String(concurrency), "--log-level", logLevel],
    ...Object.entries(optional).flatMap(([flag, value]) =>
      value === undefined ? [] : [flag, String(value)],
    ),
  ];
  return { workers, workerFlags };
}
