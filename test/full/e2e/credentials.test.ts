import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openStore, ReleaseStack } from "@trommel/common";
import { Redis } from "ioredis";
import { RunningCli, trommel, trommelJson } from "../../support/process/cli.js";
import { drawDataset } from "../../support/images/dataset.js";
import { descendantsOf, listeningSockets } from "../../support/process/processes.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";
import { startS3Server, type S3Server } from "../../support/servers/s3-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { tinyBackbone, writeTinyBackbone } from "../../support/models/tiny-backbone.js";
import { withVariables } from "../../support/process/variables.js";
import { waitUntil } from "../../support/process/wait-until.js";

/** A run and a scoring with credentials for S3 and Redis; afterwards they are looked for wherever anything was left. */

const folder = await temporaryFolder("credentials");
const releases = new ReleaseStack();
const password = "open/sesame+redis";
let s3: S3Server;
let redisServer: TestRedis;
let env: Record<string, string>;
/** Every process that was started, and what all of them have said. */
const processes: RunningCli[] = [];
/** What has been seen, by where it was. */
const seen = new Map<string, string>();
let secrets: string[];

function start(args: readonly string[], variables = env): RunningCli {
  const running = new RunningCli(args, { env: variables });
  releases.add(args.join(" "), () => running.stop());
  processes.push(running);
  return running;
}

async function lookAtArguments(): Promise<void> {
  for (const { pid } of processes) {
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    seen.set(`arguments of ${pid}`, line.replaceAll("\0", " "));
    for (const child of await descendantsOf(pid)) seen.set(`arguments of ${child.pid}`, child.args.join(" "));
  }
}

/** Every key and value that Redis holds, whatever its type. */
async function lookAtRedis(when: string): Promise<number> {
  const redis = new Redis(redisServer.url());
  const keys = await redis.keys("*");
  const readers: Record<string, (key: string) => Promise<unknown>> = {
    string: (key) => redis.get(key),
    list: (key) => redis.lrange(key, 0, -1),
    set: (key) => redis.smembers(key),
    zset: (key) => redis.zrange(key, 0, -1),
    hash: (key) => redis.hgetall(key),
    stream: (key) => redis.xrange(key, "-", "+"),
  };
  for (const key of keys) {
    const value = await readers[await redis.type(key)]?.(key);
    seen.set(`Redis ${when}: ${key}`, `${key} ${JSON.stringify(value)}`);
  }
  redis.disconnect();
  return keys.length;
}

async function lookAtBucket(bucket: string): Promise<number> {
  const store = openStore(`s3://${bucket}`);
  let objects = 0;
  for await (const { key } of store.list("")) {
    seen.set(`${bucket}/${key}`, `${key} ${Buffer.from(await store.get(key)).toString("latin1")}`);
    objects += 1;
  }
  store.close();
  return objects;
}

before(async () => {
  s3 = await startS3Server();
  releases.add("s3", () => s3.stop());
  for (const bucket of ["pictures", "store", "scores"]) s3.createBucket(bucket);
  redisServer = await startRedisServer({ password });
  releases.add("redis", () => redisServer.stop());
  env = { ...s3.env, TROMMEL_STORE: "s3://store", TROMMEL_REDIS_URL: redisServer.url() };
  releases.add("variables", withVariables(s3.env));
  const secretKey = env["AWS_SECRET_ACCESS_KEY"] ?? "";
  assert.ok(secretKey.length > 8);
  secrets = [secretKey, encodeURIComponent(secretKey), password, encodeURIComponent(password)];
  const pictures = openStore("s3://pictures");
  for (const [key, bytes] of await drawDataset(["a", "b"], { to: 12 })) await pictures.put(key, bytes);
  await pictures.put("a/broken.png", Buffer.from("no picture"));
  pictures.close();
  const model = await writeTinyBackbone(join(folder, "tiny"));
  await trommelJson(["backbone", "import", model, "--name", tinyBackbone.name], { env });
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

describe("credentials", () => {
  it("are in no argument, log, job or artefact of a run and a scoring, and nothing of ours listens", async () => {
    const debug = ["--log-level", "debug"];
    await start(["coordinator", ...debug]).says("coordinator: redis");
    const queued = [
      "--shard-size",
      "4",
      "--head",
      "se",
      "--epochs",
      "2",
      "--step",
      "2",
      "--validation",
      "0.3",
    ];
    const training = ["train", "s3://pictures", "--run", "first", "--backbone", tinyBackbone.name, ...queued];
    const trained = start([...training, "--follow", ...debug]);
    // There is no worker yet, so that its jobs wait to be looked at.
    await waitUntil("jobs wait", async () => (await lookAtRedis("before the work")) > 12);
    const worker = start(["worker", "--threads", "1", ...debug]);
    await worker.says("extract");
    await lookAtArguments();
    assert.equal((await trained.end()).code, 0, trained.stderr);
    for (const { pid } of processes) assert.deepEqual(await listeningSockets(pid), []);
    const scoring = ["score", "s3://pictures", "--model", "first", "--output", "s3://scores/out", "--follow"];
    const scored = start([...scoring, ...debug]);
    await lookAtArguments();
    assert.equal((await scored.end()).code, 0, scored.stderr);
    assert.ok((await lookAtRedis("after it")) > 5);
    assert.ok((await lookAtBucket("store")) > 20);
    assert.ok((await lookAtBucket("scores")) > 5);
  });

  it("are in no error of those who are refused", async () => {
    const wrong = "not/the+secret";
    secrets.push(wrong, encodeURIComponent(wrong));
    const atRedis = redisServer.url().replace(encodeURIComponent(password), encodeURIComponent(wrong));
    for (const [refused, variables] of [
      [["status"], { ...env, TROMMEL_REDIS_URL: atRedis }],
      [["status"], { ...env, TROMMEL_REDIS_URL: `http://user:${encodeURIComponent(wrong)}@localhost` }],
      [["status", "first"], { ...env, AWS_SECRET_ACCESS_KEY: wrong }],
    ] as const) {
      const { code, stdout, stderr } = await trommel([...refused, "--json"], { env: variables });
      assert.notEqual(code, 0);
      assert.match(stdout, /"error"/);
      seen.set(`error of ${refused.join(" ")} ${seen.size}`, stdout + stderr);
    }
  });

  it("were looked for in all of that", () => {
    for (const process of processes) seen.set(`words of ${process.pid}`, process.stdout + process.stderr);
    assert.ok(
      [...seen.values()].some((text) => text.includes('"level"')),
      "there are logs",
    );
    assert.ok([...seen.keys()].some((where) => where.startsWith("arguments")));
    for (const [where, text] of seen) {
      for (const secret of secrets) assert.ok(!text.includes(secret), `${where} holds ${secret}`);
    }
  });
});
