import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { Redis } from "ioredis";
import { RunningCli } from "../support/process/cli.js";
import { drawDataset, writeFiles } from "../support/images/dataset.js";
import { assertSameFiles, fileHashes, filesBelow } from "../support/files/file-hashes.js";
import {
  descendantsOf,
  environmentOf,
  isRunning,
  type RunningProcess,
} from "../support/process/processes.js";
import { temporaryFolder } from "../support/files/temp-folder.js";
import { copyBackbones, storeWithTinyBackbone, tinyBackbone } from "../support/models/tiny-backbone.js";
import { waitUntil } from "../support/process/wait-until.js";

const labels = ["glass", "metal", "paper"];
const perClass = 32;
const shardSize = 4;
const shardCount = (labels.length * perClass) / shardSize;

const folder = await temporaryFolder("same-bytes");
const dataset = join(folder, "labelled");
let firstStore = "";
/** Every file of the run and of the features, of the run that nothing disturbed. */
let undisturbed: Map<string, string>;

function trainArgs(store: string, workers: number): string[] {
  return [
    ...["train", dataset, "--store", store, "--workers", String(workers), "--run", "same"],
    ...["--backbone", tinyBackbone.name, "--shard-size", String(shardSize), "--views", "4"],
    ...["--head", "se", "--epochs", "10", "--step", "8", "--validation", "0.2", "--follow", "--json"],
  ];
}

/** Everything that a run leaves behind. */
async function resultsOf(store: string): Promise<Map<string, string>> {
  const results = new Map<string, string>();
  for (const part of ["features", "runs", "splits"]) {
    for (const [file, hash] of await fileHashes(join(store, part))) {
      // What a killed process was writing stays under a name that no listing shows.
      if (!file.includes("/.trommel-partial-")) results.set(`${part}/${file}`, hash);
    }
  }
  return results;
}

const newStore = (name: string): Promise<string> => copyBackbones(firstStore, join(folder, name));

async function committedShards(store: string): Promise<number> {
  const files = await filesBelow(join(store, "features"));
  return files.filter((file) => file.endsWith(".safetensors.json")).length;
}

/** Waits until a run has committed some shards and by far not all. */
async function untilUnderWay(store: string): Promise<void> {
  const done = await waitUntil(
    "a shard is committed",
    async () => (await committedShards(store)) || undefined,
  );
  assert.ok(done < shardCount / 2, `${done} of ${shardCount} shards are done: this is not the middle`);
}

const isWorker = ({ args }: RunningProcess): boolean => args.includes("worker");
const isRedis = ({ args }: RunningProcess): boolean => args.some((arg) => arg.includes("redis-server"));

/** The embedded cluster's workers, stopped (not ended) while they hold shards. */
async function freezeWorkers(cli: RunningCli): Promise<RunningProcess[]> {
  const workers = (await descendantsOf(cli.pid)).filter(isWorker);
  for (const { pid } of workers) process.kill(pid, "SIGSTOP");
  const url = (await environmentOf(workers[0]?.pid ?? 0, "TROMMEL_REDIS_URL")) ?? "";
  const redis = new Redis(url.replace(/^unix:/, ""));
  try {
    assert.ok((await redis.llen("trommel:extract:active")) > 0, "they hold shards");
  } finally {
    redis.disconnect();
  }
  return workers;
}

before(async () => {
  await writeFiles(dataset, await drawDataset(labels, { to: perClass }));
  firstStore = await storeWithTinyBackbone(folder);
});

describe("the same run gives the same bytes", () => {
  it("with one worker", async () => {
    const { stdout, code, stderr } = await new RunningCli(trainArgs(firstStore, 1)).end();
    assert.equal(code, 0, stderr);
    assert.match(stdout, /"phase":"complete"/);
    undisturbed = await resultsOf(firstStore);
    assert.equal(await committedShards(firstStore), shardCount);
    const shown = [...undisturbed.keys()];
    for (const part of [
      "/grams/",
      "/projection.safetensors",
      "/head/",
      "/bundle/model.onnx",
      "/split.json",
    ]) {
      assert.ok(
        shown.some((file) => file.includes(part)),
        part,
      );
    }
  });

  it("with three workers that are killed while they hold shards, and the run ends by itself", async () => {
    const store = await newStore("killed");
    const cli = new RunningCli(trainArgs(store, 3));
    await untilUnderWay(store);
    const workers = await freezeWorkers(cli);
    assert.equal(workers.length, 3);
    for (const { pid } of workers) process.kill(pid, "SIGKILL");
    const { code, stderr } = await cli.end(90_000);
    assert.equal(code, 0, stderr);
    for (const { pid } of workers) assert.equal(await isRunning(pid), false);
    assertSameFiles(await resultsOf(store), undisturbed);
  });

  it("with the command itself killed, which leaves no process behind, and the redis-server of the one that resumes the run", async () => {
    const store = await newStore("orphaned");
    const cli = new RunningCli(trainArgs(store, 2));
    await untilUnderWay(store);
    const family = await descendantsOf(cli.pid);
    assert.equal(family.filter(isWorker).length, 2);
    assert.equal(family.filter(isRedis).length, 1);
    cli.kill("SIGKILL");
    await cli.end();
    for (const { pid, args } of family) {
      await waitUntil(`${args.slice(0, 3).join(" ")} has ended`, async () => !(await isRunning(pid)), 15_000);
    }
    const committed = await committedShards(store);
    assert.ok(committed < shardCount, "it was killed in the middle");

    const resumed = new RunningCli(["resume", "same", "--store", store, "--workers", "2", "--json"]);
    await waitUntil("it goes on", async () => (await committedShards(store)) > committed);
    const server = (await descendantsOf(resumed.pid)).find(isRedis);
    assert.ok(server !== undefined);
    process.kill(server.pid, "SIGKILL");
    const { code, stderr } = await resumed.end(90_000);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /the embedded redis-server ended \(SIGKILL\); restarting it/);
    assert.match(stderr, /Redis had lost it; it is queued again/);
    assertSameFiles(await resultsOf(store), undisturbed);
  });
});
