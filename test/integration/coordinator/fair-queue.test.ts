import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { queuePrefix, ReleaseStack, workerTimings, type JobPayload } from "@trommel/common";
import { costs, flowOf } from "@trommel/common/jobs";
import { beginShare, connectRedis, jobsAhead, rebaseShares } from "@trommel/common/redis";
import { JobProducer } from "@trommel/coordinator/run-control";
import { Queue, Worker, type Job } from "bullmq";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";

/** Which run a worker takes a job of, with a real Redis and BullMQ; a job is over as soon as the test has taken it. */

const releases = new ReleaseStack();
let redis: TestRedis;
let producer: JobProducer;
let worker: Worker;
let queue: Queue;

before(async () => {
  redis = await startRedisServer();
  releases.add("redis", () => redis.stop());
  producer = new JobProducer(redis.url());
  releases.add("producer", () => producer.close());
  const connection = connectRedis(redis.url());
  releases.add("connection", () => connection.disconnect());
  queue = new Queue("score", { connection, prefix: queuePrefix });
  releases.add("queue", () => queue.close());
  const options = { connection, prefix: queuePrefix, autorun: false, ...workerTimings };
  worker = new Worker("score", null, options);
  releases.add("worker", () => worker.close());
  await worker.waitUntilReady();
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));
beforeEach(async () => {
  await producer.redis.flushall();
});

const none = { tuned: false, measured: false, folded: false, validated: false };

/** Queues shards of a scoring, and the jobs that wait for them. */
async function score(id: string, from: number, to: number, cost: number = costs.normal): Promise<void> {
  if (from === 0) await producer.addFlow(flowOf("scoring", none), id, 1);
  const units = Array.from({ length: to - from }, (_, at) => from + at);
  await producer.addUnits("score", id, 1, units, cost);
}

/** The next job, as a worker takes one. */
async function begin(): Promise<Job<JobPayload>> {
  const job = (await worker.getNextJob("token", { block: false })) as Job<JobPayload> | undefined;
  assert.ok(job, "no job waits");
  await beginShare(producer.redis, "score", job.priority);
  return job;
}

/** Takes so many jobs one after another. @returns whose they are */
async function take(count: number): Promise<string[]> {
  const taken: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const job = await begin();
    taken.push(job.data.id);
    await job.moveToCompleted(null, "token", false);
  }
  return taken;
}

function countOf(taken: readonly string[], id: string): number {
  return taken.filter((one) => one === id).length;
}

describe("shares of a queue", () => {
  it("begins a small scoring at once next to one that has queued hundreds, and then alternates", async () => {
    await score("large", 0, 300);
    assert.deepEqual(new Set(await take(40)), new Set(["large"]));
    await score("small", 0, 5);
    const taken = await take(12);
    assert.ok(taken.indexOf("small") <= 1, taken.join());
    assert.equal(countOf(taken.slice(0, 11), "small"), 5, taken.join());
  });

  it("shares equally between equal ones, whatever the order in which their jobs are queued", async () => {
    await score("first", 0, 100);
    await take(10);
    for (let from = 0; from < 100; from += 20) await score("second", from, from + 20);
    await score("first", 100, 150);
    const taken = await take(120);
    for (let at = 0; at < 120; at += 20) {
      const seconds = countOf(taken.slice(at, at + 20), "second");
      assert.ok(seconds >= 9 && seconds <= 11, `${seconds} of 20 from ${at}`);
    }
  });

  it("gives high four times as much as normal, and sixteen times as much as low, which still comes on", async () => {
    await score("low", 0, 100, costs.low);
    await score("normal", 0, 100, costs.normal);
    await score("high", 0, 100, costs.high);
    const taken = await take(105);
    // 80 : 20 : 5, by 16 : 4 : 1.
    const [high, normal, low] = ["high", "normal", "low"].map((id) => countOf(taken, id));
    assert.ok(Math.abs((high ?? 0) - 80) <= 2 && Math.abs((normal ?? 0) - 20) <= 2, taken.join());
    assert.ok((low ?? 0) >= 5, taken.join());
  });

  it("lets nothing starve while new scorings come with every job", async () => {
    await score("patient", 0, 20);
    let waited = 0;
    let begun = 0;
    for (let at = 0; at < 120; at += 1) {
      await score(`new-${at}`, 0, 1);
      const [id] = await take(1);
      waited = id === "patient" ? 0 : waited + 1;
      begun += id === "patient" ? 1 : 0;
      assert.ok(waited <= costs.normal + 1, `it waits for ${waited} jobs`);
    }
    assert.ok(begun >= 7, `${begun} of 120`);
  });

  it("counts from a new origin when tags have become large, and keeps the order of what waits", async () => {
    const start = 2 ** 20 - 5;
    await producer.redis.hset(`${queuePrefix}:fair:score`, "now", start);
    await score("first", 0, 4);
    const before = await queue.getPrioritized();
    assert.deepEqual(
      before.map(({ priority }) => priority),
      [1, 17, 33, 49].map((offset) => start + offset),
    );
    assert.deepEqual(await take(2), ["first", "first"]);
    await score("second", 0, 2);
    const waiting = await queue.getPrioritized();
    assert.ok(waiting.every(({ priority }) => priority < 100));
    assert.equal(await rebaseShares(producer.redis, "score"), 0);
    assert.deepEqual(await take(4), ["second", "first", "second", "first"]);
  });

  it("lets a job begin although Redis is full: shares must not stop the work", async () => {
    await score("a", 0, 2);
    await producer.redis.config("SET", "maxmemory", "100kb");
    try {
      await assert.rejects(producer.redis.set("x", "y"), /OOM/);
      await beginShare(producer.redis, "score", 1);
    } finally {
      await producer.redis.config("SET", "maxmemory", "0");
    }
    assert.deepEqual(await take(2), ["a", "a"]);
  });

  it("tells how many jobs of a run were begun before one, for the limit of a run", async () => {
    await score("a", 0, 3);
    await score("b", 0, 2);
    const jobs = [await begin(), await begin(), await begin(), await begin(), await begin()];
    const ahead: Record<string, number[]> = { a: [], b: [] };
    for (const { data } of jobs) ahead[data.id]?.push(await jobsAhead(producer.redis, data));
    assert.deepEqual(ahead, { a: [0, 1, 2], b: [0, 1] });
  });

  it("counts no jobs of a run whose id begins with that of another and a dot", async () => {
    for (const id of ["a.b", "a.1", "a.1.score"]) await score(id, 0, 1);
    for (let i = 0; i < 3; i += 1) await begin();
    await score("a", 0, 2);
    const [first, second] = [await begin(), await begin()];
    assert.deepEqual([first.data.id, second.data.id], ["a", "a"]);
    assert.equal(await jobsAhead(producer.redis, first.data), 0);
    assert.equal(await jobsAhead(producer.redis, second.data), 1);
  });
});
