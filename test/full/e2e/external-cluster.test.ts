import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openStore, ReleaseStack, type Ledger, type ObjectStore } from "@trommel/common";
import { scoreRow } from "#common/artefacts/results/bundle";
import { Redis } from "ioredis";
import { jsonInProcess, RunningCli, runInProcess } from "../../support/process/cli.js";
import { drawDataset, drawUnlabelled } from "../../support/images/dataset.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";
import { startS3Server, type S3Server } from "../../support/servers/s3-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { tinyBackbone, writeTinyBackbone } from "../../support/models/tiny-backbone.js";
import { withVariables } from "../../support/process/variables.js";
import { waitUntil } from "../../support/process/wait-until.js";

/** Two machines' worth of workers, a coordinator, Redis behind a password and everything durable in buckets. */

const labels = ["Zebra", "apple", "中文"];
const perClass = 32;
const shardSize = 4;
const shardCount = (labels.length * perClass) / shardSize;
const database = 3;

const folder = await temporaryFolder("external-cluster");
const releases = new ReleaseStack();
let env: Record<string, string>;
/** Of commands in this process, which has the AWS SDK's variables itself. */
let clientEnv: Record<string, string>;
let redisServer: TestRedis;
let s3: S3Server;
/** The store as this test sees it. */
let store: ObjectStore;
const workers: RunningCli[] = [];

interface Status {
  readonly phase: string;
  readonly ledger?: Ledger;
}
const json = async (...args: string[]): Promise<Status> =>
  (await jsonInProcess(args, { env: clientEnv })) as Status;

function trainArgs(id: string, seed: number): string[] {
  return [
    ...["train", "s3://pictures/labelled", "--run", id, "--backbone", tinyBackbone.name, "--no-follow"],
    ...["--shard-size", String(shardSize), "--views", "4", "--head", "se", "--epochs", "2", "--step", "8"],
    ...["--validation", "0.2", "--seed", String(seed)],
  ];
}

async function startWorker(): Promise<RunningCli> {
  const worker = new RunningCli(["worker", "--threads", "1"], { env });
  releases.add("worker", () => worker.stop());
  workers.push(worker);
  await worker.says("extract");
  return worker;
}

async function filesUnder(prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** Keys of the features whose marker stands. */
async function committed(): Promise<Set<string>> {
  const markers = (await filesUnder("features/")).filter((key) => key.endsWith(".json"));
  return new Set(markers.map((key) => key.replace(/\.json$/, "")));
}

/** Does something while no worker moves, so that commands of a second do not miss a run of a second. */
async function whileFrozen<T>(work: () => Promise<T>): Promise<T> {
  for (const worker of workers) worker.kill("SIGSTOP");
  try {
    return await work();
  } finally {
    for (const worker of workers) worker.kill("SIGCONT");
  }
}

/** Waits until no worker holds a shard. */
async function untilIdle(): Promise<void> {
  const redis = new Redis(redisServer.url(database));
  await waitUntil("no shard is under way", async () => (await redis.llen("trommel:extract:active")) === 0);
  redis.disconnect();
}

/** Queues a new training and waits for the middle of its extraction. @returns what it has committed, and before it */
async function untilUnderWay(id: string, seed: number): Promise<Set<string>> {
  const earlier = await committed();
  assert.equal((await json(...trainArgs(id, seed))).phase, "running");
  const now = await waitUntil("shards are committed", async () => {
    const found = await committed();
    return found.size >= earlier.size + 3 && found;
  });
  assert.ok(now.size < earlier.size + shardCount - 6, "this is the middle");
  return now;
}

/** Requests that wrote one of these features again, since so many requests. */
function writesOf(keys: ReadonlySet<string>, since: number): string[] {
  return s3.requests
    .slice(since)
    .filter(({ method }) => method === "PUT")
    .map(({ url }) => decodeURIComponent(url.split("?", 1).join("")).replace("/store/deep/", ""))
    .filter((key) => keys.has(key.replace(/\.json$/, "")));
}

before(async () => {
  s3 = await startS3Server();
  releases.add("s3", () => s3.stop());
  for (const bucket of ["pictures", "store", "scores"]) s3.createBucket(bucket);
  redisServer = await startRedisServer({ password: "p@ss:word/1" });
  releases.add("redis", () => redisServer.stop());
  clientEnv = { TROMMEL_STORE: "s3://store/deep", TROMMEL_REDIS_URL: redisServer.url(database) };
  env = { ...s3.env, ...clientEnv };
  const restore = withVariables(s3.env);
  releases.add("variables", restore);
  store = openStore("s3://store/deep");
  releases.add("store", () => store.close());
  const pictures = openStore("s3://pictures");
  const { files } = await drawUnlabelled(labels, 30, 8);
  for (const [key, bytes] of await drawDataset(labels, { to: perClass })) {
    await pictures.put(`labelled/${key}`, bytes);
  }
  for (const [key, bytes] of files) await pictures.put(`unlabelled/${key}`, bytes);
  pictures.close();
  const model = await writeTinyBackbone(join(folder, "tiny"));
  await json("backbone", "import", model, "--name", tinyBackbone.name);
  const coordinator = new RunningCli(["coordinator"], { env });
  releases.add("coordinator", () => coordinator.stop());
  await coordinator.says("coordinator: redis");
  assert.ok(!`${coordinator.stdout}${coordinator.stderr}`.includes("word"), "the password is not shown");
  await Promise.all([startWorker(), startWorker()]);
});

after(async () => assert.deepEqual(await releases.releaseAll(), []));

describe("a cluster on a Redis of its own, with everything in buckets", () => {
  it("queues a training and lets its status be followed", async () => {
    assert.equal((await json(...trainArgs("queued", 0))).phase, "running");
    const followed = await json("status", "queued", "--follow");
    assert.equal(followed.phase, "complete");
    assert.equal(followed.ledger?.ok, labels.length * perClass);
    assert.equal((await committed()).size, shardCount);
  });

  it("keeps to its database and its prefix in Redis", async () => {
    const redis = new Redis(redisServer.url());
    assert.equal(await redis.dbsize(), 0);
    await redis.select(database);
    const keys = await redis.keys("*");
    assert.ok(keys.length > 0);
    assert.deepEqual(
      keys.filter((key) => !key.startsWith("trommel:")),
      [],
    );
    redis.disconnect();
  });

  it("cancels in the middle, and resumes without repeating a committed shard", async () => {
    await untilUnderWay("cancelled", 1);
    await whileFrozen(async () => {
      assert.equal((await json("cancel", "cancelled")).phase, "cancelled");
    });
    await untilIdle();
    const kept = await committed();
    const since = s3.requests.length;
    assert.equal((await json("status", "cancelled")).phase, "cancelled");
    assert.ok(kept.size < 2 * shardCount, `${kept.size} were done before it was cancelled`);
    assert.equal((await json("resume", "cancelled", "--no-follow")).phase, "running");
    assert.equal((await json("status", "cancelled", "--follow")).phase, "complete");
    assert.equal((await committed()).size, 2 * shardCount);
    assert.deepEqual(writesOf(kept, since), []);
  });

  it("rebuilds a run after Redis lost everything, without repeating a committed shard", async () => {
    await untilUnderWay("flushed", 2);
    const { kept, since } = await whileFrozen(async () => {
      const redis = new Redis(redisServer.url(database));
      await redis.flushall();
      redis.disconnect();
      assert.equal((await json("status", "flushed")).phase, "stopped");
      return { kept: await committed(), since: s3.requests.length };
    });
    assert.ok(kept.size < 3 * shardCount, `${kept.size} were done before Redis lost them`);
    assert.equal((await json("resume", "flushed", "--no-follow")).phase, "running");
    assert.equal((await json("status", "flushed", "--follow")).phase, "complete");
    assert.equal((await committed()).size, 3 * shardCount);
    assert.deepEqual(writesOf(kept, since), []);
  });

  it("lets a worker that is told to end finish its shards, and goes on with the other", async () => {
    await untilUnderWay("drained", 3);
    const worker = workers.pop();
    assert.ok(worker !== undefined);
    worker.kill("SIGTERM");
    const { code, stderr } = await worker.end(40_000);
    assert.equal(code, 0, stderr);
    const followed = await json("status", "drained", "--follow");
    assert.equal(followed.phase, "complete");
    assert.equal(followed.ledger?.ok, labels.length * perClass);
  });

  it("scores from a bucket into a bucket", async () => {
    const scored = await json(
      ...["score", "s3://pictures/unlabelled", "--model", "queued", "--output", "s3://scores/first run"],
      ...["--shard-size", "7", "--follow"],
    );
    assert.equal(scored.phase, "complete");
    assert.equal(scored.ledger?.ok, 30);
    const output = openStore("s3://scores/first run");
    const rows = [];
    for await (const { key } of output.list("")) {
      if (!/^part-\d+\.jsonl$/.test(key)) continue;
      const text = Buffer.from(await output.get(key)).toString("utf8");
      rows.push(
        ...text
          .trimEnd()
          .split("\n")
          .map((line) => scoreRow.parse(JSON.parse(line)).key),
      );
    }
    output.close();
    assert.deepEqual(rows, [...(await drawUnlabelled(labels, 30, 8)).files.keys()]);
  });

  it("refuses to cancel what is complete", async () => {
    const { code, stderr } = await runInProcess(["cancel", "queued"], { env: clientEnv });
    assert.equal(code, 1);
    assert.match(stderr, /cannot cancel queued: it is complete/);
  });
});
