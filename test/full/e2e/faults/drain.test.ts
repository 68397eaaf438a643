import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ReleaseStack } from "@trommel/common";
import { ShardTrial } from "#common/jobs/shard-trial";
import { Redis } from "ioredis";
import { RunningCli, trommelJson } from "../../../support/process/cli.js";
import { crashPreload, marked } from "../../../support/process/crash-marks.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { filesBelow } from "../../../support/files/file-hashes.js";
import { descendantsOf } from "../../../support/process/processes.js";
import { startRedisServer, type TestRedis } from "../../../support/servers/redis-server.js";
import { waitingJobs } from "../../../support/servers/waiting-jobs.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";
import { waitUntil } from "../../../support/process/wait-until.js";

/** A worker that is told to go, in each state in which that may find it. A picture that hangs keeps a shard under way. */

const folder = await temporaryFolder("drain");
const releases = new ReleaseStack();
const extraction = "drain.1.extract.0";
let server: TestRedis;
let redis: Redis;
let store = "";
let env: Record<string, string>;

function startWorker(): RunningCli {
  const worker = new RunningCli(["worker", "--threads", "1"], { env: { ...env, ...crashPreload } });
  releases.add("worker", () => worker.stop());
  return worker;
}

/** The second signal asks not to wait for the picture that hangs. @returns what it said */
async function tellTwice(worker: RunningCli): Promise<string> {
  worker.kill("SIGTERM");
  await worker.says("stopping; again");
  worker.kill("SIGTERM");
  const { code, stderr } = await worker.end();
  assert.equal(code, 0, stderr);
  return stderr;
}

const underWay = (): Promise<string[]> => redis.lrange("trommel:extract:active", 0, -1);

async function untilTaken(): Promise<void> {
  await waitUntil("the shard is under way", async () => (await underWay()).includes(extraction));
}

/** The shard waits for others, its worker's end counts as no death, and nothing half written is left. */
async function assertHandedBack(deaths: number): Promise<void> {
  assert.deepEqual([await underWay(), await waitingJobs(redis, "extract")], [[], [extraction]]);
  assert.equal(Number((await redis.hget(`trommel:extract:${extraction}`, "stc")) ?? 0), deaths);
  const partial = (await filesBelow(store)).filter((file) => file.includes(".trommel-partial-"));
  assert.deepEqual(partial, []);
}

before(async () => {
  server = await startRedisServer();
  releases.add("redis-server", () => server.stop());
  redis = new Redis(server.url());
  redis.on("error", () => undefined);
  releases.add("redis", () => redis.disconnect());
  const pictures = await drawDataset(["glass", "metal"], { to: 4 });
  const [first] = pictures.keys();
  assert.ok(first !== undefined);
  pictures.set(first, marked(pictures.get(first) ?? Buffer.alloc(0), "hang"));
  await writeFiles(join(folder, "labelled"), pictures);
  store = await storeWithTinyBackbone(folder);
  env = { TROMMEL_REDIS_URL: server.url(), TROMMEL_STORE: store };
  const coordinator = new RunningCli(["coordinator"], { env });
  releases.add("coordinator", () => coordinator.stop());
  await coordinator.says("coordinator: redis");
  const args = [
    "--backbone",
    tinyBackbone.name,
    "--run",
    "drain",
    "--head",
    "se",
    "--validation",
    "0.25",
    "--no-follow",
  ];
  await trommelJson(["train", join(folder, "labelled"), ...args], { env });
  await waitUntil("the shard is queued", async () => (await waitingJobs(redis, "extract")).length === 1);
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

describe("a worker that is told to go", () => {
  it("ends with 0 while it starts", async () => {
    const worker = startWorker();
    // It has its device and does not serve its queues yet, or hardly.
    await worker.says("onnx on");
    await tellTwice(worker);
    await assertHandedBack(0);
  });

  it("hands its shard back at once when it is told twice", async () => {
    const worker = startWorker();
    await untilTaken();
    await tellTwice(worker);
    await assertHandedBack(0);
  });

  it("takes the process along in which it decodes a shard whose worker died, and accuses no file", async () => {
    await redis.hset(`trommel:extract:${extraction}`, "stc", 1);
    const worker = startWorker();
    const trial = new ShardTrial(redis, { id: "drain", attempt: 1, stage: "extract", shard: 0 });
    await waitUntil("the picture is tried", async () => (await trial.state()).suspects.length === 1);
    const family = await descendantsOf(worker.pid);
    assert.ok(family.some(({ args }) => args.some((arg) => arg.endsWith("decode-process.js"))));
    await tellTwice(worker);
    const left = (await descendantsOf(process.pid)).filter(({ pid }) =>
      family.some((former) => former.pid === pid),
    );
    assert.deepEqual(left, []);
    assert.deepEqual((await trial.state()).suspects, []);
    await assertHandedBack(1);
  });

  it("ends with 0 though Redis is away, and leaves its shard to the lapse of its lock", async () => {
    const worker = startWorker();
    await untilTaken();
    await server.stop();
    const stderr = await tellTwice(worker);
    assert.match(stderr, /locks expire by themselves/);
  });
});
