import { setTimeout as sleep } from "node:timers/promises";
import { queuePrefix, ReleaseStack, workerTimings, type JobPayload } from "@trommel/common";
import { costs, flowOf } from "@trommel/common/jobs";
import { beginShare, connectRedis } from "@trommel/common/redis";
import { startEmbeddedRedis } from "#trommel/cluster/embedded-redis";
import { JobProducer } from "#coordinator/run-control/queueing/job-producer";
import { Worker } from "bullmq";
import type { BenchResult, BenchRow, BenchSetting } from "../result.js";

/** A shard takes so long on a place of a worker, and there are so many places. */
const shardMs = 200;
const places = 4;
/** Shards that the coordinator keeps queued of a scoring of 500,000 images, which has 1,954. */
const queued = 1954;
/** Shards of the scorings that come later. */
const sizes = [1, 8, 40] as const;

const traits = { tuned: false, measured: false, folded: false, validated: false };

interface Later {
  readonly shards: number;
  /** From its submission to the begin of its first shard. */
  readonly firstMs: number;
  readonly endMs: number;
  readonly aloneMs: number;
}

/**
 * Scorings next to each other: Redis, BullMQ, job producer and shares are the product's, and a shard is a timer. How soon does a small
 * one begin and end next to one of 500,000 images, and how are two large ones served?
 */
export async function benchFairness(
  _: undefined,
  _store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const releases = new ReleaseStack();
  try {
    const redis = await startEmbeddedRedis();
    releases.add("redis", () => redis.stop());
    const producer = new JobProducer(redis.url);
    releases.add("producer", () => producer.close());
    const served = new Served();
    const connection = connectRedis(redis.url);
    releases.add("connection", () => connection.disconnect());
    const worker = new Worker(
      "score",
      async (job) => {
        await beginShare(connection, job.data as JobPayload);
        served.begin((job.data as JobPayload).id);
        await sleep(shardMs);
        served.end((job.data as JobPayload).id);
      },
      { connection, prefix: queuePrefix, concurrency: places, drainDelay: 1, ...workerTimings },
    );
    worker.on("error", () => undefined);
    releases.add("worker", () => worker.close(true));
    await worker.waitUntilReady();
    const submit = async (id: string, shards: number, cost: number = costs.normal): Promise<void> => {
      await producer.addFlow(flowOf("scoring", traits), id, 1);
      const units = Array.from({ length: shards }, (_, unit) => unit);
      await producer.addUnits("score", id, 1, units, cost);
    };
    const alone: number[] = [];
    for (const shards of sizes) {
      const since = performance.now();
      await submit(`alone-${shards}`, shards);
      await served.until(`alone-${shards}`, shards);
      alone.push(performance.now() - since);
    }
    await submit("large", queued);
    await served.until("large", 3 * places);
    const later: Later[] = [];
    for (const [at, shards] of sizes.entries()) {
      const id = `later-${shards}`;
      const since = performance.now();
      await submit(id, shards);
      await served.until(id, shards);
      const { firstBegunMs } = served.of(id);
      later.push({
        ...{ shards, firstMs: firstBegunMs - since, endMs: performance.now() - since },
        aloneMs: alone[at] ?? NaN,
      });
      setting.say(`fairness: ${JSON.stringify(later.at(-1))}`);
    }
    const before = served.of("large").ended;
    await submit("equal", queued);
    await served.until("equal", 100);
    const equalShare = 100 / (served.of("large").ended - before + 100);
    return { rows: rowsOf(later, equalShare), measured: { shardMs, places, queued, later, equalShare } };
  } finally {
    await releases.releaseAll();
  }
}

function rowsOf(later: readonly Later[], equalShare: number): BenchRow[] {
  const rows = later.flatMap(({ shards, firstMs, endMs, aloneMs }): BenchRow[] => {
    const atMostMs = 2 * aloneMs + shardMs;
    const name = `a scoring of ${shards} shards next to one of ${queued}`;
    return [
      {
        what: `fairness: ${name}: first shard begun after, shards' time`,
        value: (firstMs / shardMs).toFixed(2),
        target: "≤ 1",
        reached: firstMs <= shardMs,
      },
      {
        what: `fairness: ${name}: ended after, s`,
        value: (endMs / 1000).toFixed(2),
        anchor: `${(aloneMs / 1000).toFixed(2)} alone`,
        target: `≤ ${(atMostMs / 1000).toFixed(2)}`,
        reached: endMs <= atMostMs,
      },
    ];
  });
  return [
    ...rows,
    {
      what: "fairness: share of the second of two equal ones, over its first 100 shards",
      value: equalShare.toFixed(3),
      target: "0.5 ± 0.03",
      reached: Math.abs(equalShare - 0.5) <= 0.03,
    },
  ];
}

/** What was begun and ended of each scoring. */
class Served {
  readonly #of = new Map<string, { firstBegunMs: number; ended: number }>();
  readonly #waiting: { readonly id: string; readonly shards: number; readonly resolve: () => void }[] = [];

  begin(id: string): void {
    if (!this.#of.has(id)) this.#of.set(id, { firstBegunMs: performance.now(), ended: 0 });
  }

  end(id: string): void {
    const own = this.#of.get(id);
    if (own === undefined) return;
    own.ended += 1;
    for (const { id: wanted, shards, resolve } of this.#waiting)
      if (wanted === id && own.ended >= shards) resolve();
  }

  of(id: string): { readonly firstBegunMs: number; readonly ended: number } {
    return this.#of.get(id) ?? { firstBegunMs: NaN, ended: 0 };
  }

  async until(id: string, shards: number): Promise<void> {
    if (this.of(id).ended >= shards) return;
    await new Promise<void>((resolve) => this.#waiting.push({ id, shards, resolve }));
  }
}
