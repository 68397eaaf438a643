import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ReleaseStack } from "@trommel/common";
import { Redis } from "ioredis";
import { onlyJsonObject, RunningCli, trommel, trommelJson } from "../../../support/process/cli.js";
import { drawDataset, drawUnlabelled, writeFiles } from "../../../support/images/dataset.js";
import { assertSameFiles, fileHashes, filesBelow } from "../../../support/files/file-hashes.js";
import { startRedisServer } from "../../../support/servers/redis-server.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { copyBackbones, storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";
import { waitUntil } from "../../../support/process/wait-until.js";

/** A scoring on a real cluster whose Redis has hardly any memory, and for a while none. */

const labels = ["glass", "metal"];
const shards = 240;

const folder = await temporaryFolder("full-redis");
const releases = new ReleaseStack();
const output = join(folder, "scores");
const peaceful = join(folder, "peaceful");
let env: Record<string, string>;
let redis: Redis;
let coordinator: RunningCli;
let model: string;

const scoreArgs = () => [
  ...["score", join(folder, "unlabelled"), "--model", model, "--output", output, "--shard-size", "1"],
];

async function used(): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1]);
}

const setMemory = (sizeBytes: number) => redis.config("SET", "maxmemory", String(Math.floor(sizeBytes)));

/** Commands that were refused for want of memory. */
async function refused(): Promise<number> {
  return Number(/errorstat_OOM:count=(\d+)/.exec(await redis.info("errorstats"))?.[1] ?? 0);
}

async function parts(): Promise<number> {
  return (await filesBelow(output)).filter((name) => name.endsWith(".jsonl.json")).length;
}

before(async () => {
  await writeFiles(join(folder, "labelled"), await drawDataset(labels, { to: 8 }));
  const drawn = await drawUnlabelled(labels, 12, 3);
  const pictures = [...drawn.files.values()];
  const many = Array.from({ length: shards }, (_, i): [string, Buffer] => [
    `${String(i).padStart(4, "0")}.png`,
    pictures[i % pictures.length] ?? Buffer.alloc(0),
  ]);
  await writeFiles(join(folder, "unlabelled"), new Map(many));
  const store = await storeWithTinyBackbone(folder);
  const train = ["train", join(folder, "labelled"), "--run", "r", "--backbone", tinyBackbone.name];
  await trommelJson([
    ...train,
    "--head",
    "se",
    "--epochs",
    "2",
    "--step",
    "8",
    "--store",
    store,
    "--workers",
    "1",
  ]);
  model = join(store, "runs/r/bundle");
  await trommelJson([...scoreArgs(), "--store", store, "--workers", "1"], { timeoutMs: 120_000 });
  await cp(output, peaceful, { recursive: true });
  await rm(output, { recursive: true });
  const server = await startRedisServer();
  releases.add("redis-server", () => server.stop());
  redis = new Redis(server.url());
  releases.add("redis", () => redis.disconnect());
  const shared = await copyBackbones(store, join(folder, "shared"));
  env = { TROMMEL_REDIS_URL: server.url(), TROMMEL_STORE: shared };
  coordinator = new RunningCli(["coordinator", "--outstanding-shards", "100"], { env });
  releases.add("coordinator", () => coordinator.stop());
  await coordinator.says("coordinator: redis");
  for (let number = 0; number < 2; number += 1) {
    const worker = new RunningCli(["worker", "--threads", "1"], { env });
    releases.add("worker", () => worker.stop());
    await worker.says("score");
  }
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

describe("a scoring whose Redis is full", () => {
  it("is refused while Redis takes nothing at all", async () => {
    await setMemory((await used()) * 0.9);
    const { code, stdout, stderr } = await trommel([...scoreArgs(), "--no-follow", "--json"], { env });
    assert.equal(code, 1, stderr);
    const { error } = onlyJsonObject(stdout) as { error: { code: string; message: string } };
    assert.equal(error.code, "exhausted");
    assert.match(error.message, /Redis.*maxmemory/);
    await setMemory(0);
  });

  it("is slowed by a Redis of little memory, waits for one that is full, and ends with the same bytes", async () => {
    const command = new RunningCli([...scoreArgs(), "--follow", "--json"], { env });
    releases.add("command", () => command.stop());
    await waitUntil("it is under way", async () => (await parts()) >= 5);
    // Queueing stops at 85 % of it, and what is under way has the rest.
    const small = (await used()) / 0.92;
    await setMemory(small);
    await coordinator.says("Redis is full");
    await setMemory((await used()) * 0.9);
    const before = await refused();
    await waitUntil("workers meet it", async () => (await refused()) >= before + 10);
    const atFull = await parts();
    assert.ok(atFull < shards, `${atFull} of ${shards} parts stood when Redis became full`);
    await setMemory(small);
    const { code, stdout, stderr } = await command.end(120_000);
    assert.equal(code, 0, stderr);
    assert.equal((onlyJsonObject(stdout) as { phase: string }).phase, "complete");
    assertSameFiles(await fileHashes(output), await fileHashes(peaceful));
    assert.ok((await filesBelow(output)).includes("_SUCCESS.json"));
  });
});
