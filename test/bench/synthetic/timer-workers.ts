/**
 * Workers in one process, each with everything that a worker process has of its own: connections to Redis, a store, the
 * processor of the extract queue with its live run, heartbeats, markers and locks. Only fetching, decoding and the
 * device are not there: pictures are ready, and the device is a {@link TimerDevice}.
 *
 * Answers `{ serve }`, how many of them are to be at work from now on, and `{ measureMs }`: the share of that time for which
 * the devices were busy, summed over them. Its options come as JSON in the first argument.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { openStore } from "@trommel/common";
import { ClusterMetrics } from "@trommel/common/metrics";
import { connectRedis } from "#common/jobs/connection/connect-redis";
import { collectSeldom } from "#gpu-worker/worker/heap-growth";
import { createImageBudgets } from "#gpu-worker/image/budgets/image-budgets";
import { createKeptImages } from "#gpu-worker/image/read/kept-images";
import type { ShardImage, ImageStreamOptions } from "#gpu-worker/image/read/image-stream";
import { createProcessor } from "#gpu-worker/worker/job-processor";
import { createRouter } from "#gpu-worker/worker/job-router";
import { createQueueWorker } from "#gpu-worker/worker/queue-worker";
import { WorkTally } from "#gpu-worker/worker/work-tally";
import { FeatureIndexes } from "#gpu-worker/stages/reuse/feature-index";
import { ThreadPool } from "#gpu-worker/threads/thread-pool";
import { TuningClient } from "#gpu-worker/threads/tuning-client";
import type { ReduceThread } from "#gpu-worker/threads/reduce-thread";
import { ThreadClient } from "#gpu-worker/rpc/thread-client";
import { SourceStores } from "#gpu-worker/stages/images/source-stores";
import { pino } from "pino";
import { syntheticBackbone } from "./synthetic-subject.js";
import { TimerDevice } from "./timer-device.js";

export interface TimerWorkersOptions {
  readonly redisUrl: string;
  readonly store: string;
  /** Of each device. */
  readonly imagesPerSecond: number;
  readonly viewsPerBatch: number;
  /** Shards that a worker has in flight. */
  readonly concurrency: number;
}

export type TimerWorkersRequest = { readonly serve: number } | { readonly measureMs: number };

collectSeldom();
const options = JSON.parse(process.argv[2] ?? "") as TimerWorkersOptions;
const log = pino({ level: "warn" }, process.stderr);
const devices: TimerDevice[] = [];
const pixels = new Uint8Array(syntheticBackbone.inputSize ** 2 * 3);

async function* readyPictures(stream: ImageStreamOptions): AsyncGenerator<ShardImage> {
  for (const [position, { key }] of stream.entries.entries()) {
    stream.signal.throwIfAborted();
    // Whatever a file holds, no two hold the same.
    if (await stream.recognise?.(position, Buffer.from(key))) continue;
    yield { position, key, ok: true, pixels };
  }
}

// A worker that joins a run reads every marker that stands once. On machines of their own all do so at once; here each
// process does it for its workers, or the last of 64 would keep both cores busy with nothing else.
const featureIndexes = new FeatureIndexes(openStore(options.store));

/** A thread is started by its first call, which no extraction makes. */
function neverStarted(): ReduceThread {
  const data = { storeUrl: "", threads: 1, engine: "onnx", logLevel: "silent" } as const;
  return new ThreadClient(new URL("file:///nowhere"), data);
}

async function startWorker(): Promise<void> {
  const device = new TimerDevice(options.imagesPerSecond, syntheticBackbone.dimension);
  const redis = connectRedis(options.redisUrl);
  const store = openStore(options.store);
  const processor = createProcessor({
    store,
    sources: new SourceStores(),
    featureIndexes,
    redis,
    drainMs: null,
    device,
    tuner: new TuningClient({ storeUrl: options.store, threads: 1, engine: "onnx", device: "cpu" }),
    route: await createRouter(["extract"], {
      reduce: neverStarted(),
      folds: new ThreadPool(1, neverStarted),
    }),
    engine: "onnx",
    threads: 1,
    viewsPerBatch: options.viewsPerBatch,
    budgets: createImageBudgets({ bytesInFlightMib: 1, pixelsInFlightMib: 4 }),
    keptImages: createKeptImages({ pixelsInFlightMib: 4 }),
    streamImages: readyPictures,
    log,
    shutdown: new AbortController().signal,
    tally: new WorkTally(device, new ClusterMetrics()),
    underWay: new Set(),
  });
  const worker = createQueueWorker("extract", processor, { redis, concurrency: options.concurrency });
  worker.on("error", (error) => log.warn({ reason: error.message }, "queue error"));
  await worker.waitUntilReady();
  void worker.run();
  devices.push(device);
}

async function serve(count: number): Promise<number> {
  while (devices.length < count) await startWorker();
  return devices.length;
}

/** @returns devices' worth of time that was computed for: 3 of 4 devices all the time are 3 */
async function measure(forMs: number): Promise<number> {
  const busy = (): number => devices.reduce((sum, device) => sum + device.busyMs(), 0);
  const [startMs, before] = [performance.now(), busy()];
  await sleep(forMs);
  return (busy() - before) / (performance.now() - startMs);
}

process.once("disconnect", () => process.exit(0));
process.on("message", (request: TimerWorkersRequest) => {
  const answer = "serve" in request ? serve(request.serve) : measure(request.measureMs);
  void answer.then((value) => process.send?.(value));
});
process.send?.("ready");
