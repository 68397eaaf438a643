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
  type WorkerOptions,
} from "@trommel/common";
import { Worker } from "bullmq";
import type { Redis } from "ioredis";
import { pino, type Logger } from "pino";
import pretty from "pino-pretty";
import { createProcessor } from "./job-processor.js";
import { DeviceClient } from "./threads/device-client.js";
import type { ReduceThreadData } from "./threads/reduce-thread.js";
import { ThreadClient } from "./threads/thread-rpc.js";

/** After SIGTERM shards under way may finish for this long; then they are handed back. */
const drainMs = 25_000;
/** And this long to hand back and let go. */
const releaseMs = 5_000;
/** Base images times views per batch on the device. Results do not depend on it. */
const viewsPerBatch = 24;

/** Serves the queues until SIGTERM or SIGINT. @returns the exit code: 0 after a drain, 1 where one did not end */
export async function serveQueues(options: WorkerOptions): Promise<number> {
  const log = createLogger(options.logLevel);
  const releases = new ReleaseStack();
  const shutdown = new AbortController();
  try {
    await checkRedis(options.redisUrl);
    const device = new DeviceClient({
      engine: options.engine,
      device: options.device,
      threads: options.threads,
    });
    releases.add("device", () => device.stop());
    const report = await device.report();
    process.stderr.write(
      `worker ${process.pid}: ${options.engine} on ${report.description}, ${options.queues.join(" ")} from ${describeRedis(options.redisUrl)}\n`,
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
      viewsPerBatch,
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
    if (options.embedded) process.send?.({ ready: true });
    const reason = await untilTold(options.embedded);
    log.info({ reason }, "draining");
    if (reason === "orphaned") await endEmbeddedRedis(redis);
    return await drain(workers, shutdown, reason === "orphaned" ? 0 : drainMs);
  } finally {
    for (const failure of await releases.releaseAll()) log.warn({ failure }, "failed to release");
  }
}

/** Waits for a signal, or, in an embedded cluster, for the command that started us to be gone. */
async function untilTold(embedded: boolean): Promise<"signal" | "orphaned"> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve("signal"));
    process.once("SIGINT", () => resolve("signal"));
    if (embedded) process.once("disconnect", () => resolve("orphaned"));
  });
}

/** The command that owned this Redis was killed; nobody else will end it. */
async function endEmbeddedRedis(redis: Redis): Promise<void> {
  await withTimeout(redis.shutdown("NOSAVE"), 1000, "end Redis").catch(() => undefined);
}

async function drain(
  workers: readonly Worker[],
  shutdown: AbortController,
  timeoutMs: number,
): Promise<number> {
  const closing = Promise.all(workers.map((worker) => worker.close()));
  try {
    await withTimeout(closing, timeoutMs, "finish the shards under way");
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
