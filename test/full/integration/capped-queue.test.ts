import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import {
  canonicalJson,
  jobPayload,
  openStore,
  queuePrefix,
  recipe,
  ReleaseStack,
  LiveRun,
  runKeys,
  scoringKeys,
  type JobPayload,
} from "@trommel/common";
import { connectRedis } from "#common/jobs/connection/connect-redis";
import { flowOf } from "#common/jobs/run-rules";
import { startCoordinator } from "#coordinator/coordinator";
import { JobProducer } from "#coordinator/run-control/queueing/job-producer";
import { Worker } from "bullmq";
import type { Redis } from "ioredis";
import { pino } from "pino";
import { writeFiles } from "../../support/images/dataset.js";
import { startRedisServer } from "../../support/servers/redis-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { waitUntil } from "../../support/process/wait-until.js";

/** The coordinator before a real Redis, and workers that do nothing: one shard for each file. */

const files = 180;
const outstandingShards = 48;

const folder = await temporaryFolder("capped-queue");
const releases = new ReleaseStack();
const store = openStore(join(folder, "store"));
const source = `file://${join(folder, "pictures")}`;
const notices: string[] = [];
let redisUrl: string;
let redis: Redis;
let producer: JobProducer;
let workers: Worker[] = [];

before(async () => {
  const server = await startRedisServer();
  releases.add("server", () => server.stop());
  redisUrl = server.url();
  redis = connectRedis(redisUrl);
  releases.add("redis", () => redis.disconnect());
  producer = new JobProducer(redisUrl);
  releases.add("producer", () => producer.close());
  const names = Array.from({ length: files }, (_, i) => `${i % 2 === 0 ? "a" : "b"}/${i}.jpg`);
  await writeFiles(join(folder, "pictures"), new Map(names.map((name) => [name, "x"])));
  const log = pino({ level: "warn" }, { write: (line: string) => void notices.push(line) });
  const coordinator = await startCoordinator({ redisUrl, store, log, outstandingShards });
  releases.add("coordinator", () => coordinator.stop());
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.close(true)));
  workers = [];
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

const put = (key: string, value: unknown) => store.put(key, Buffer.from(canonicalJson(value)));

async function queueScoring(id: string): Promise<void> {
  const bundle = { location: "file:///nowhere", modelSha256: "a".repeat(64) };
  const output = `file://${join(folder, id)}`;
  await put(scoringKeys(id).config, {
    ...{ formatVersion: 1, id, source, bundle, output, topK: 1, shardSize: 1, formats: ["jsonl"] },
  });
  await new LiveRun(redis, id).open(() => `${id}.1.close`, store.url, undefined);
  await producer.addFlow(
    flowOf("scoring", { tuned: false, measured: false, folded: false, validated: false }),
    id,
    1,
  );
}

async function queueRun(id: string): Promise<void> {
  const hash = "a".repeat(64);
  await put(runKeys(id).config, {
    ...{ formatVersion: 1, id, dataset: source, export: null, side: 32, fingerprint: hash },
    recipe: recipe.parse({ backbones: ["net"], shardSize: 1 }),
    labels: { classes: null, tableSha256: null },
    backbones: [{ id: "net@0123456789ab", hash, dimension: 5, inputSize: 32 }],
  });
  await new LiveRun(redis, id).open(() => `${id}.1.bundle`, store.url, undefined);
  await producer.addFlow(
    flowOf("run", { tuned: false, measured: false, folded: false, validated: true }),
    id,
    1,
  );
}

/** Serves a queue. @returns the payloads that were done */
function serve(queue: string, work: (payload: JobPayload) => Promise<void> = () => Promise.resolve()) {
  const done: JobPayload[] = [];
  const worker = new Worker(
    queue,
    async (job) => {
      const payload = jobPayload.parse(job.data);
      await work(payload);
      done.push(payload);
    },
    { connection: redis, prefix: queuePrefix, concurrency: 4, drainDelay: 1 },
  );
  worker.on("error", () => undefined);
  workers.push(worker);
  return done;
}

/** Jobs of a queue that are in Redis and not done. */
async function outstanding(queue: string): Promise<number> {
  const counts = await Promise.all([
    ...["wait", "active"].map((list) => redis.llen(`${queuePrefix}:${queue}:${list}`)),
    redis.zcard(`${queuePrefix}:${queue}:prioritized`),
  ]);
  return counts.reduce((sum, count) => sum + count, 0);
}

describe("jobs outstanding in Redis", () => {
  it("are capped while a scoring is queued, and its listing does not wait for them", async () => {
    await queueScoring("capped");
    await waitUntil("everything is listed", () => store.head(scoringKeys("capped").listing));
    await waitUntil("jobs are queued", async () => (await outstanding("score")) > 0);
    let peak = await outstanding("score");
    const done = serve("score", async () => {
      peak = Math.max(peak, await outstanding("score"));
    });
    const closed = serve("reduce");
    await waitUntil("it is closed", () => closed.length === 1);
    const shards = done.flatMap((payload) => (payload.stage === "score" ? [payload.shard] : []));
    assert.deepEqual(
      [...new Set(shards)].sort((a, b) => a - b),
      Array.from({ length: files }, (_, i) => i),
    );
    assert.ok(peak > 0 && peak <= outstandingShards, `${peak} were outstanding`);
    assert.deepEqual(closed, [{ stage: "close", id: "capped", attempt: 1 }]);
  });

  it("are capped while a training is queued, whose grams wait for its listing", async () => {
    await queueRun("trained");
    await waitUntil("everything is listed", () => store.head(runKeys("trained").listing));
    let peak = 0;
    const done = serve("extract", async () => {
      peak = Math.max(peak, await outstanding("extract"));
    });
    const reduced = serve("reduce");
    await waitUntil("it is bundled", () => reduced.some(({ stage }) => stage === "bundle"));
    assert.equal(done.length, files);
    assert.ok(peak > 0 && peak <= outstandingShards, `${peak} were outstanding`);
    assert.equal(reduced.filter(({ stage }) => stage === "gram").length, Math.ceil(files / 16));
  });

  it("end their wait when the run is cancelled, also where Redis was not told", async () => {
    await queueScoring("cancelled");
    await waitUntil("everything is listed", () => store.head(scoringKeys("cancelled").listing));
    await waitUntil("jobs are queued", async () => (await outstanding("score")) > 0);
    const planning = () => redis.llen(`${queuePrefix}:plan:active`);
    assert.equal(await planning(), 1);
    await put(scoringKeys("cancelled").cancelled, {});
    await waitUntil("the plan has ended", async () => (await planning()) === 0);
    assert.ok((await outstanding("score")) <= outstandingShards);
    serve("score");
    await waitUntil("the queue is empty", async () => (await outstanding("score")) === 0);
  });

  it("come to Redis when it has room again, and its being full is said once", async () => {
    // Less than an empty Redis takes, so that it is full whatever earlier tests have left or taken away meanwhile.
    await queueScoring("crowded");
    // Before it is full: it may be said before this test continues, and then not again.
    notices.length = 0;
    await redis.config("SET", "maxmemory", "100kb");
    const done = serve("score");
    const closed = serve("reduce");
    await assert.rejects(redis.set("trommel-test", "x"), /OOM/);
    await waitUntil("it is said", () => notices.some((line) => line.includes("Redis is full")));
    assert.ok(done.length < files);
    await redis.config("SET", "maxmemory", "0");
    await waitUntil("it is closed", () =>
      closed.some(({ id, stage }) => id === "crowded" && stage === "close"),
    );
    const shards = new Set(done.flatMap((payload) => (payload.stage === "score" ? [payload.shard] : [])));
    assert.equal(shards.size, files);
    assert.equal(notices.filter((line) => line.includes("Redis is full")).length, 1, notices.join(""));
    assert.equal((await new LiveRun(redis, "crowded").state())?.error, undefined);
  });
});
