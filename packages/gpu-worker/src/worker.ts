import { rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import {
  checkRedis,
  connectRedis,
  describeRedis,
  messageOf,
  openStore,
  queuePrefix,
  ReleaseStack,
  withTimeout,
  workerTimings,
  type Device,
  type WorkerOptions,
} from "@trommel/common";
import { Worker } from "bullmq";
import { pino, type Logger } from "pino";
import pretty from "pino-pretty";
import { createPictureBudgets } from "./image/picture-budgets.js";
import { createProcessor } from "./job-processor.js";
import { DeviceClient } from "./threads/device-client.js";
import type { ReduceThreadData } from "./threads/reduce-thread.js";
import { ThreadClient } from "./threads/thread-rpc.js";

/** How long handing back and letting go may take after the drain. */
const releaseMs = 5_000;
/**
 * Base images times views per batch on the device. Results do not depend on it. On a CPU smaller batches leave more
 * in its caches: 60 images a second with 12, 56 with 24.
 */
export const viewsPerBatch = { cpu: 12, webgpu: 24, cuda: 24 } as const satisfies Record<Device, number>;

/** Serves the queues until SIGTERM or SIGINT. @returns the exit code: 0 after a drain, 1 where one did not end */
export async function serveQueues(options: WorkerOptions): Promise<number> {
  const log = createLogger(options.logLevel);
  const stopped = untilStopped();
  const watched = options.embedded ? endWhenOrphaned(options.redisUrl) : () => undefined;
  const releases = new ReleaseStack();
  const shutdown = new AbortController();
  try {
    await checkRedis(options.redisUrl);
    const device = new DeviceClient({
      engine: options.engine,
      device: options.device,
      threads: options.threads,
      // Extraction and scoring each have so many shards in flight, and each may be of another model.
      modelsAtMost: 2 * options.concurrency,
    });
    releases.add("device", () => device.stop());
    const report = await device.report();
    process.stderr.write(
      `worker ${process.pid}: ${options.engine} on ${report.description}, ${options.queues.join(" ")} from ${describeRedis(options.redisUrl)}; at most ${options.bytesInFlightMib} MiB of files and ${options.pixelsInFlightMib} MiB of pixels in flight\n`,
    );
    const reduceData: ReduceThreadData = {
      storeUrl: options.storeUrl,
      threads: options.threads,
      logLevel: options.logLevel,
    };
    const reduce = new ThreadClient(new URL("./threads/reduce-thread.js", import.meta.url), reduceData);
    releases.add("reduce thread", () => reduce.stop());
    const store = openStore(options.storeUrl, { onNotice: (notice) => log.warn(notice) });
    releases.add("store", () => store.close());
    const redis = connectRedis(options.redisUrl);
    releases.add("redis", () => redis.disconnect());
    const { engine, threads } = options;
    const processor = createProcessor({
      store,
      redis,
      device,
      reduce,
      engine,
      threads,
      viewsPerBatch: viewsPerBatch[options.device],
      budgets: createPictureBudgets(options),
      log,
      shutdown: shutdown.signal,
    });
    const workers = options.queues.map((queue) => {
      const concurrency = queue === "reduce" ? 1 : options.concurrency;
      const worker = new Worker(queue, processor, {
        connection: redis,
        prefix: queuePrefix,
        concurrency,
        drainDelay: 1,
        ...workerTimings,
      });
      worker.on("error", (error) => log.debug({ queue, reason: error.message }, "queue error"));
      return worker;
    });
    await withTimeout(Promise.all(workers.map((worker) => worker.waitUntilReady())), 10_000, "reach Redis");
    if (options.embedded && process.connected) process.send?.({ ready: true });
    await stopped;
    return await drain(workers, shutdown, options.drainMs);
  } finally {
    watched();
    for (const failure of await releases.releaseAll()) log.warn({ failure }, "failed to release");
  }
}

async function untilStopped(): Promise<void> {
  await new Promise<void>((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
  });
}

/**
 * The command that started us may be killed; then its Redis and its workers end too. At once: nobody is left to tell,
 * every write is whole or absent, and a device in the middle of a batch cannot be asked to stop.
 * @returns stops watching
 */
function endWhenOrphaned(redisUrl: string): () => void {
  const end = async (): Promise<void> => {
    const redis = connectRedis(redisUrl);
    await withTimeout(redis.shutdown("NOSAVE"), 1000, "end Redis").catch(() => undefined);
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

async function drain(
  workers: readonly Worker[],
  shutdown: AbortController,
  drainMs: number,
): Promise<number> {
  const closing = Promise.all(workers.map((worker) => worker.close()));
  // Without Redis closing fails or never ends; either way it is waited for below, and only there.
  closing.catch(() => undefined);
  try {
    await withTimeout(closing, drainMs, "finish the shards under way");
    return 0;
  } catch {
    shutdown.abort();
  }
  try {
    await withTimeout(closing, releaseMs, "hand the shards back");
    return 0;
  } catch (thrown) {
    process.stderr.write(`worker ${process.pid}: ${messageOf(thrown)}; their locks lapse by themselves\n`);
    return 1;
  }
}

function createLogger(level: string): Logger {
  if (!process.stderr.isTTY) return pino({ level, base: { worker: process.pid } }, process.stderr);
  const stream = pretty({ destination: 2, sync: true, ignore: "hostname,time" });
  return pino({ level, base: { worker: process.pid } }, stream);
}
