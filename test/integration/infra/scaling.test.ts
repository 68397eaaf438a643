import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, beforeEach, describe, it } from "node:test";
import { queuePrefix, ReleaseStack, workerTimings } from "@trommel/common";
import { flowOf } from "@trommel/common/jobs";
import { connectRedis } from "@trommel/common/redis";
import { JobProducer } from "@trommel/coordinator/run-control";
import { Worker, type Job } from "bullmq";
import { Autoscaler, scaledObjectSpec, type ScaledObjectSpec } from "../../infra/autoscaler.js";
import { readManifests } from "../../infra/check-chart.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";

/**
 * How the chart's workers come and go, on a clock that the test moves: queues and jobs are real ones in a real Redis, KEDA and
 * Kubernetes are their formulas, and pods take as long to start, and shards to be scored, as is written here.
 */

const podStartSeconds = 40;
const jobSeconds: Readonly<Record<string, number>> = { score: 30, close: 5 };
const queues = ["score", "reduce"] as const;
type ServedQueue = (typeof queues)[number] | "plan";
const token = "token";

const releases = new ReleaseStack();
let redis: TestRedis;
let producer: JobProducer;
let workers: Record<ServedQueue, Worker>;
let spec: ScaledObjectSpec;

before(async () => {
  redis = await startRedisServer();
  releases.add("redis", () => redis.stop());
  producer = new JobProducer(redis.url());
  releases.add("producer", () => producer.close());
  const connection = connectRedis(redis.url());
  releases.add("connection", () => connection.disconnect());
  const workerOf = async (queue: string): Promise<Worker> => {
    const worker = new Worker(queue, null, {
      connection,
      prefix: queuePrefix,
      autorun: false,
      ...workerTimings,
      lockDuration: 600_000,
    });
    releases.add(`worker of ${queue}`, () => worker.close());
    await worker.waitUntilReady();
    return worker;
  };
  workers = {
    score: await workerOf("score"),
    reduce: await workerOf("reduce"),
    plan: await workerOf("plan"),
  };
  const golden = new URL("../../../../test/golden/helm-chart/default.yaml", import.meta.url);
  const manifests = readManifests(await readFile(golden, "utf8"));
  spec = scaledObjectSpec.parse(manifests.find(({ kind }) => kind === "ScaledObject")?.spec);
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));
beforeEach(async () => {
  await producer.redis.flushall();
});

/** What a coordinator does: it plans a scoring, and its shards are queued. */
async function queueShards(id: string, shards: number): Promise<void> {
  const plain = { tuned: false, measured: false, folded: false, validated: false };
  await producer.addFlow(flowOf("scoring", plain), id, 1);
  await producer.addUnits(
    "score",
    id,
    1,
    Array.from({ length: shards }, (_, shard) => shard),
  );
  const plan = await takeJobOf("plan");
  await plan?.moveToCompleted(null, token, false);
}

async function takeJobOf(queue: ServedQueue): Promise<Job | undefined> {
  return (await workers[queue].getNextJob(token, { block: false })) as Job | undefined;
}

async function takeJob(): Promise<Job | undefined> {
  for (const queue of queues) {
    const job = await takeJobOf(queue);
    if (job !== undefined) return job;
  }
  return undefined;
}

/** Pods of one job at a time. Those that start last end first, and one that ends would hand its job back. */
class Pods {
  readonly jobs: { readonly name: string; readonly begun: number; readonly ended: number }[] = [];
  #pods: { readonly readyAt: number; job?: { readonly job: Job; readonly begun: number } | undefined }[] = [];

  /** Starts and stops pods. */
  scale(at: number, replicas: number): void {
    while (this.#pods.length < replicas) this.#pods.push({ readyAt: at + podStartSeconds });
    const ended = this.#pods.splice(replicas);
    const isIdle = ended.every(({ job }) => job === undefined);
    assert.ok(isIdle, `a pod with a job is stopped at ${at}`);
  }

  /** Ends jobs, and begins others. */
  async work(at: number): Promise<void> {
    let mayBegin = this.#pods.some(({ readyAt }) => readyAt === at);
    for (const pod of this.#pods) {
      if (pod.job === undefined) continue;
      const { job, begun } = pod.job;
      if (at < begun + (jobSeconds[job.name] ?? 0)) continue;
      await job.moveToCompleted(null, token, false);
      this.jobs.push({ name: job.name, begun, ended: at });
      pod.job = undefined;
      mayBegin = true;
    }
    for (const pod of mayBegin ? this.#pods : []) {
      if (pod.job !== undefined || at < pod.readyAt) continue;
      const job = await takeJob();
      if (job === undefined) break;
      pod.job = { job, begun: at };
    }
  }
}

/** A cluster without workers, in which so many shards are queued at one time, for so many seconds. */
async function simulate(
  seconds: number,
  queued: { readonly at: number; readonly shards: number },
): Promise<{ readonly scaler: Autoscaler; readonly pods: Pods }> {
  const scaler = new Autoscaler(spec, producer.redis, 5);
  const pods = new Pods();
  for (let at = 0; at <= seconds; at += 1) {
    if (at === queued.at) await queueShards("night", queued.shards);
    await pods.work(at);
    await scaler.tick(at);
    pods.scale(at, scaler.replicas);
  }
  return { scaler, pods };
}

describe("the scaling of the chart's workers", () => {
  it("goes from none to as many as the queue wants, and back to none when it is empty", async () => {
    const { scaler, pods } = await simulate(900, { at: 50, shards: 40 });
    // By hand, with the chart's defaults (a look every 15 s, four waiting jobs a worker, eight at most, 300 s of cooldown). KEDA sees 40
    // jobs at 60 and starts one. Kubernetes wants ceil(40 / 4), may have four more at 65, and eight at 80. They begin at 100, 105
    // (four) and 120 (three), and five rounds of 30 s are 40 shards: the last ends at 270 and lets the scoring be closed until 275. KEDA
    // sees a job at 270 for the last time. What Kubernetes wanted within 300 s is eight until 245, three at 260 and none at 275.
    assert.deepEqual(scaler.changes, [
      { at: 60, replicas: 1 },
      { at: 65, replicas: 5 },
      { at: 80, replicas: 8 },
      { at: 545, replicas: 3 },
      { at: 560, replicas: 1 },
      { at: 570, replicas: 0 },
    ]);
    const shards = pods.jobs.filter(({ name }) => name === "score");
    assert.equal(shards.length, 40);
    assert.equal(Math.min(...shards.map(({ begun }) => begun)), 100);
    assert.equal(Math.max(...shards.map(({ ended }) => ended)), 270);
    assert.deepEqual(pods.jobs.at(-1), { name: "close", begun: 270, ended: 275 });
  });

  it("starts as many as a small queue wants, and no more", async () => {
    const { scaler, pods } = await simulate(600, { at: 1, shards: 7 });
    // ceil(7 / 4) is two.
    assert.deepEqual(scaler.changes.slice(0, 2), [
      { at: 15, replicas: 1 },
      { at: 20, replicas: 2 },
    ]);
    assert.equal(Math.max(...scaler.changes.map(({ replicas }) => replicas)), 2);
    assert.equal(scaler.replicas, 0);
    assert.equal(pods.jobs.length, 8);
  });

  it("keeps a worker for a job that a killed one has left under way", async () => {
    await queueShards("killed", 1);
    assert.ok(await takeJob());
    assert.equal(await replicasAfter(spec, 1200), 1);
  });

  it("keeps a worker for a job that waits for its next try: only a worker puts it back into the queue", async () => {
    await queueShards("retried", 1);
    const job = await takeJob();
    assert.ok(job);
    await job.moveToFailed(new Error("the store does not answer"), token, false);
    assert.equal(await job.isDelayed(), true);
    assert.equal(await replicasAfter({ ...spec, cooldownPeriod: 30 }, 600), 1);
  });
});

/** Replicas after so many seconds in which nothing happens but the scaling. */
async function replicasAfter(scaled: ScaledObjectSpec, seconds: number): Promise<number> {
  const scaler = new Autoscaler(scaled, producer.redis, 5);
  for (let at = 0; at <= seconds; at += 1) await scaler.tick(at);
  return scaler.replicas;
}
