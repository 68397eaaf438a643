import { once } from "node:events";
import { rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import {
  messageOf,
  openStore,
  ReleaseStack,
  TrommelError,
  workerDefaults,
  type WorkerOptions,
} from "@trommel/common";
import {
  awaitRedis,
  checkRedis,
  connectRedis,
  describeRedis,
  MemberBeat,
  memberVersion,
  runWhenReady,
} from "@trommel/common/redis";

import { ClusterMetrics, serveMetrics } from "@trommel/common/metrics";
import { flushTracing, startTracing } from "@trommel/common/tracing";
import { unlessAborted, withTimeout } from "@trommel/common/waiting";
import { createLogger } from "@trommel/common/logging";
import type { Worker } from "bullmq";
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { collectSeldom } from "./heap-growth.js";
import { drain } from "./drain.js";
import { createImageBudgets } from "../image/budgets/image-budgets.js";
import { createKeptImages } from "../image/read/kept-images.js";
import { createProcessor } from "./job-processor.js";
import { createRouter } from "./job-router.js";
import { createQueueWorker } from "./queue-worker.js";
import { FeatureIndexes } from "../stages/reuse/feature-index.js";
import { SourceStores } from "../stages/images/source-stores.js";
import { StopSignals } from "./stop-signals.js";
import { DeviceClient } from "../threads/device-client.js";
import { TuningClient } from "../threads/tuning-client.js";
import { ThreadClient } from "../rpc/thread-client.js";
import { ThreadPool } from "../threads/thread-pool.js";
import { WorkTally } from "./work-tally.js";
import type { ReduceThread } from "../threads/reduce-thread.js";

/**
 * Serves the queues until SIGTERM or SIGINT, at any time from the call on.
 * @returns the exit code, see {@link drain}; 0 if it was stopped before it served
 * @throws TrommelError what Redis refuses for good, now or later
 */
export async function serveQueues(options: WorkerOptions): Promise<number> {
  collectSeldom();
  const stop = new StopSignals(options.embedded);
  const log = createLogger({
    level: options.logLevel,
    base: { worker: process.pid },
    stream: process.stderr,
  });
  const watched = options.embedded ? endWhenOrphaned(options.redisUrl) : () => undefined;
  const releases = new ReleaseStack();
  await startTracing("worker");
  releases.add("traces", flushTracing);
  try {
    const refused = new AbortController();
    const serving = await startServing(options, { stop, refused, log, releases });
    if (options.embedded) tellCluster({ ready: true });
    if (!stop.drain.aborted) await unlessAborted(refused.signal, once(stop.drain, "abort"));
    return await drain({ ...serving, stop, drainMs: options.drainMs });
  } catch (thrown) {
    if (!stop.drain.aborted) throw thrown;
    // An error after the signal to stop loses nothing, but is no part of stopping either.
    if (thrown !== stop.drain.reason) log.warn({ reason: messageOf(thrown) }, "failed while it stopped");
    return 0;
  } finally {
    watched();
    for (const failure of await releases.releaseAll()) log.warn({ failure }, "failed to release");
  }
}

interface Serving {
  readonly workers: readonly Worker[];
  readonly redis: Redis;
  readonly underWay: ReadonlySet<Promise<unknown>>;
}

async function startServing(
  options: WorkerOptions,
  life: {
    readonly stop: StopSignals;
    /** Aborts with the reason if Redis refuses for good what the worker needs. */
    readonly refused: AbortController;
    readonly log: Logger;
    readonly releases: ReleaseStack;
  },
): Promise<Serving> {
  const { stop, refused, log, releases } = life;
  const { engine, threads, redisUrl, storeUrl } = options;
  await findRedis(options, stop.drain, log);
  const device = new DeviceClient({
    engine,
    device: options.device,
    threads,
    // Extraction and scoring each have so many shards in flight, and each may be of another model.
    modelsAtMost: 2 * options.concurrency,
  });
  releases.add("device", () => device.stop());
  const report = await unlessAborted(stop.drain, device.report());
  const batchViews = options.viewsPerBatch ?? workerDefaults.viewsPerBatch[options.device];
  process.stderr.write(
    `worker ${process.pid}: ${engine} on ${report.description}, ${batchViews} views a batch, ${options.bytesInFlightMib} + ${options.pixelsInFlightMib} MiB in flight, ${options.queues.join(" ")} from ${describeRedis(redisUrl)}\n`,
  );
  const reduceEntry = new URL("../threads/reduce-thread.js", import.meta.url);
  const { logLevel } = options;
  const reduce: ReduceThread = new ThreadClient(reduceEntry, { storeUrl, threads, engine, logLevel });
  releases.add("reduce thread", () => reduce.stop());
  // A fold computes with one thread, so that its bytes do not depend on how many the worker has.
  const folds = new ThreadPool<ReduceThread>(
    threads,
    () => new ThreadClient(reduceEntry, { storeUrl, threads: 1, engine, logLevel }),
  );
  releases.add("fold threads", () => folds.stop());
  const tuner = new TuningClient({ storeUrl, threads, engine, device: options.device });
  releases.add("tuning thread", () => tuner.stop());
  const store = openStore(storeUrl, { onNotice: (notice) => log.warn(notice) });
  releases.add("store", () => store.close());
  const sources = new SourceStores();
  releases.add("sources", () => sources.close());
  const redis = connectRedis(redisUrl, (error) => refused.abort(error));
  releases.add("redis", () => redis.disconnect());
  const underWay = new Set<Promise<unknown>>();
  const metrics = new ClusterMetrics();
  metrics.build.set({ version: memberVersion, kind: "worker" }, 1);
  const tally = new WorkTally(device, metrics);
  if (options.metrics !== undefined) {
    let idleMs = device.idleMs;
    let lookedMs = performance.now();
    const labels = { device: options.device, provider: report.provider, engine };
    const server = await serveMetrics(options.metrics, metrics, () => {
      const [nowMs, idleNowMs] = [performance.now(), device.idleMs];
      const busyMs = nowMs - lookedMs - (idleNowMs - idleMs) / device.sessionCount;
      metrics.deviceBusySeconds.inc(labels, Math.max(0, busyMs) / 1000);
      [lookedMs, idleMs] = [nowMs, idleNowMs];
      metrics.redisUp.set(redis.status === "ready" ? 1 : 0);
      return Promise.resolve();
    });
    releases.add("metrics", () => server.stop());
    process.stderr.write(`worker ${process.pid}: metrics at ${server.url}\n`);
  }
  const processor = createProcessor({
    store,
    redis,
    device,
    tuner,
    route: await createRouter(options.queues, { reduce, folds }),
    engine,
    threads,
    viewsPerBatch: batchViews,
    budgets: createImageBudgets(options),
    keptImages: createKeptImages(options),
    sources,
    featureIndexes: new FeatureIndexes(store),
    log,
    shutdown: stop.handedBack,
    drainMs: options.embedded ? null : options.drainMs,
    underWay,
    tally,
  });
  const workers = options.queues.map((queue) => {
    const concurrency = {
      extract: options.concurrency,
      // A step computes with all threads.
      tune: 1,
      score: options.concurrency,
      reduce: 1,
      fold: threads,
    }[queue];
    const worker = createQueueWorker(queue, processor, { redis, concurrency });
    worker.on("error", (error) => log.debug({ queue, reason: error.message }, "queue error"));
    if (options.embedded) worker.once("active", () => tellCluster({ tookJob: true }));
    // Jobs under way end with the process, as at a crash: Redis takes no word of them.
    refused.signal.addEventListener("abort", () => void worker.close(true).catch(() => undefined));
    return worker;
  });
  const ready = Promise.all(workers.map(runWhenReady));
  ready.catch((thrown: unknown) => refused.abort(thrown));
  const either = AbortSignal.any([stop.drain, refused.signal]);
  try {
    await unlessAborted(either, withTimeout({ timeoutMs: 10_000, doing: "reach Redis" }, ready));
  } catch (thrown) {
    // It may have taken jobs already.
    if (!stop.drain.aborted) {
      if (options.embedded || !isTimeout(thrown)) throw thrown;
      // The queues connect by themselves, as they do whenever Redis is lost.
      log.warn("the connection to Redis is lost; waiting for it, for as long as it takes");
    }
  }
  const { concurrency, queues } = options;
  const facts = { queues, engine, device: options.device, provider: report.provider, threads, concurrency };
  const beat = new MemberBeat(redis, () => ({
    ...{ kind: "worker", storeUrl: store.url },
    worker: { ...facts, ...tally.look() },
  }));
  releases.add("beat", () => beat.stop());
  return { workers, redis, underWay };
}

/**
 * The calling command has reached Redis, which may have been lost since. The Redis of a local cluster answers at once or never.
 * @throws the signal's reason where it aborts; TrommelError as checkRedis and awaitRedis say
 */
async function findRedis(
  { redisUrl, embedded }: WorkerOptions,
  signal: AbortSignal,
  log: Logger,
): Promise<void> {
  if (embedded) await unlessAborted(signal, checkRedis(redisUrl));
  else await awaitRedis(redisUrl, { signal, say: (line) => log.warn(line) });
  signal.throwIfAborted();
}

function isTimeout(thrown: unknown): boolean {
  return thrown instanceof TrommelError && thrown.code === "timed-out";
}

/** The command that started an embedded worker judges by this whether to start it again. */
function tellCluster(message: { readonly ready?: true; readonly tookJob?: true }): void {
  if (process.connected) process.send?.(message);
}

/**
 * The command that started us may be killed; then its Redis and its workers end too. At once: nobody is left to tell,
 * every write is whole or absent, and a device in the middle of a batch cannot be asked to stop.
 * @returns stops watching
 */
function endWhenOrphaned(redisUrl: string): () => void {
  const end = async (): Promise<void> => {
    const redis = connectRedis(redisUrl);
    await withTimeout({ timeoutMs: 1000, doing: "end Redis" }, redis.shutdown("NOSAVE")).catch(
      () => undefined,
    );
    // The private folder of its socket, which the command would have removed.
    const folder = redisUrl.startsWith("unix:") ? dirname(redisUrl.slice("unix:".length)) : "";
    if (basename(folder).startsWith("trommel-redis-")) await rm(folder, { recursive: true, force: true });
    process.kill(process.pid, "SIGKILL");
  };
  const orphaned = (): void => void end();
  if (process.connected) process.once("disconnect", orphaned);
  else orphaned();
  return () => process.off("disconnect", orphaned);
}
