import { mkdir, mkdtemp, readdir, rm, statfs } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openStore, ReleaseStack, runKeys } from "@trommel/common";
import { startEmbeddedRedis } from "#trommel/cluster/embedded-redis";
import { JobProducer } from "#coordinator/run-control/queueing/job-producer";
import { BenchChild } from "../synthetic/child.js";
import { comparisonRow } from "../compare/comparison-row.js";
import { processCpuSeconds } from "../measure/process-usage.js";
import { commandsServed } from "../measure/redis-usage.js";
import type { BenchResult, BenchSetting } from "../result.js";
import type { SyntheticCoordinatorOptions } from "../synthetic/synthetic-coordinator.js";
import { startSyntheticRun } from "../synthetic/synthetic-subject.js";
import type { TimerWorkersOptions } from "../synthetic/timer-workers.js";

const imagesPerSecond = 800;
const imagesPerShard = 256;
const steps = [1, 2, 4, 8, 16, 32, 64];
/** Before a step is measured: its new workers connect and take their first shards. */
const settleMs = 2000;
const windowMs = 4000;
/** Of each step. */
const windows = 3;
/** As `trommel worker` has it unless told otherwise. */
const concurrency = 2;
const processes = 4;
const run = "bench-queue";
const memoryFolder = "/dev/shm";

/** One step: so many workers, and what was done in each window, in workers' worth of images. */
interface Step {
  readonly workers: number;
  readonly throughput: readonly number[];
  readonly perShard: {
    readonly workersCpuMs: number;
    readonly redisCpuMs: number;
    readonly redisCommands: number;
  };
}

/**
 * Many workers on one machine: what the queue, Redis and the store let through. Devices are timers and pictures are
 * ready; everything else is the product's: redis-server, coordinator, job processor, stage, store as a folder.
 */
export async function benchQueue(_: undefined, _store: string, setting: BenchSetting): Promise<BenchResult> {
  const store = await makeStore(setting.folder);
  const releases = new ReleaseStack();
  try {
    const redis = await startEmbeddedRedis();
    releases.add("redis", () => redis.stop());
    const shards = shardsNeeded();
    const coordinator = child<SyntheticCoordinatorOptions>("synthetic-coordinator", {
      redisUrl: redis.url,
      store,
      keys: shards * imagesPerShard,
      classes: 100,
    });
    const workers = Array.from({ length: processes }, () =>
      child<TimerWorkersOptions>("timer-workers", {
        redisUrl: redis.url,
        store,
        imagesPerSecond,
        viewsPerBatch: 32,
        concurrency,
      }),
    );
    for (const one of [coordinator, ...workers]) await one.message();
    const producer = new JobProducer(redis.url);
    releases.add("producer", () => producer.close());
    setting.say(`queue: listing ${shards} shards`);
    await startSyntheticRun(openStore(store), producer, run);
    await untilListed(store);
    const measured: Step[] = [];
    for (const count of steps) {
      const step = await measureStep(count, workers, redis.pid, producer);
      setting.say(`queue: ${describe(step)}`);
      measured.push(step);
    }
    return summarize(measured, await committedShards(store), store);
  } finally {
    await releases.releaseAll();
    await rm(store, { recursive: true, force: true });
  }

  function child<Options>(module: string, options: Options): BenchChild {
    const started = new BenchChild(module, options);
    releases.add(module, () => started.stop());
    return started;
  }
}

/**
 * In memory where there is a file system for that: what flushes to one disk may come to is no question of the queue, and 64
 * machines do not share one.
 */
async function makeStore(folder: string): Promise<string> {
  const memory = await statfs(memoryFolder).catch(() => undefined);
  const isRoomy = memory !== undefined && memory.bavail * memory.bsize > 2 ** 30;
  if (isRoomy) return await mkdtemp(path.join(memoryFolder, "trommel-bench-"));
  await mkdir(folder, { recursive: true });
  return await mkdtemp(path.join(folder, "store-"));
}

/** As many as ideal workers would do, and some to wait at the end. */
function shardsNeeded(): number {
  const secondsEach = (settleMs + windows * windowMs) / 1000 + 1;
  const workerSeconds = steps.reduce((sum, count) => sum + count * secondsEach, 0);
  return Math.ceil((workerSeconds * imagesPerSecond) / imagesPerShard) + 4 * concurrency * Math.max(...steps);
}

/** Planning would take the workers' time, which in earnest is another machine's. */
async function untilListed(store: string): Promise<void> {
  const files = openStore(store);
  while ((await files.head(runKeys(run).listing)) === undefined) await sleep(200);
  // Until its last jobs are queued as far as there is room, and its split is written.
  await sleep(1000);
}

async function measureStep(
  count: number,
  children: readonly BenchChild[],
  redisPid: number,
  { redis }: JobProducer,
): Promise<Step> {
  const shares = children.map((_, at) => Math.floor((count + children.length - 1 - at) / children.length));
  await Promise.all(children.map((child, at) => child.ask({ serve: shares[at] ?? 0 })));
  await sleep(settleMs);
  const usage = async () => ({
    workers: (await Promise.all(children.map(({ pid }) => processCpuSeconds(pid)))).reduce(
      (a, b) => a + b,
      0,
    ),
    redis: await processCpuSeconds(redisPid),
    commands: await commandsServed(redis),
  });
  const before = await usage();
  const throughput: number[] = [];
  for (let window = 0; window < windows; window += 1) {
    const busy = (await Promise.all(children.map((child) => child.ask({ measureMs: windowMs })))) as number[];
    throughput.push(busy.reduce((sum, value) => sum + value, 0));
  }
  const after = await usage();
  const images = throughput.reduce((sum, value) => sum + value * imagesPerSecond * (windowMs / 1000), 0);
  const shards = images / imagesPerShard;
  return {
    workers: count,
    throughput,
    perShard: {
      workersCpuMs: (1000 * (after.workers - before.workers)) / shards,
      redisCpuMs: (1000 * (after.redis - before.redis)) / shards,
      redisCommands: (after.commands - before.commands) / shards,
    },
  };
}

/** What the devices did counts for nothing unless it was committed. */
async function committedShards(store: string): Promise<number> {
  const [fingerprint = ""] = await readdir(path.join(store, "features"));
  const files = await readdir(path.join(store, "features", fingerprint));
  return files.filter((name) => name.endsWith(".safetensors.json")).length;
}

const imagesOf = (throughput: readonly number[]): number[] =>
  throughput.map((value) => value * imagesPerSecond);

function describe({ workers, throughput, perShard }: Step): string {
  const share = throughput.map((value) => (value / workers).toFixed(3)).join(" ");
  return (
    `${workers} workers: ${share} of linear; per shard ${perShard.workersCpuMs.toFixed(2)} ms CPU of workers, ` +
    `${perShard.redisCpuMs.toFixed(2)} ms and ${perShard.redisCommands.toFixed(1)} commands of Redis`
  );
}

function summarize(measured: readonly Step[], committed: number, store: string): BenchResult {
  const [one] = measured;
  const most = measured.at(-1);
  if (one === undefined || most === undefined) throw new RangeError("no step");
  const { workersCpuMs, redisCpuMs, redisCommands } = most.perShard;
  const rows = measured.map(({ workers, throughput }) =>
    comparisonRow({
      what: `queue: ${workers} workers in ${Math.min(workers, processes)} processes, images/s (anchor: ${workers} × one worker's)`,
      own: imagesOf(throughput),
      anchor: imagesOf(one.throughput).map((value) => value * workers),
      ...(workers === most.workers ? { atLeast: 0.97 } : {}),
      digits: 0,
    }),
  );
  return {
    measured: {
      steps: measured,
      committed,
      imagesPerSecond,
      imagesPerShard,
      windowMs,
      concurrency,
      processes,
    },
    rows: [
      ...rows,
      {
        what: `queue: CPU per shard at ${most.workers} workers, workers / Redis, ms`,
        value: `${workersCpuMs.toFixed(2)} / ${redisCpuMs.toFixed(2)}`,
      },
      {
        what: `queue: commands of Redis per shard, those of scripts included`,
        value: redisCommands.toFixed(1),
      },
      { what: `queue: shards committed in all, in ${path.dirname(store)}`, value: String(committed) },
    ],
  };
}
