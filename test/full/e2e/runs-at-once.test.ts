import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ReleaseStack } from "@trommel/common";
import { Redis } from "ioredis";
import { RunningCli, trommelJson } from "../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../support/images/dataset.js";
import { startRedisServer } from "../../support/servers/redis-server.js";
import { waitingJobs } from "../../support/servers/waiting-jobs.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";
import { waitUntil } from "../../support/process/wait-until.js";

/** Two runs on the same pictures whose shards a worker takes up at the same moment. */

const labels = ["glass", "metal", "paper"];
const images = 60;

interface Trained {
  readonly phase: string;
  readonly extraction?: { readonly extracted: number; readonly reused: number };
}

const folder = await temporaryFolder("runs-at-once");
const dataset = join(folder, "pictures");
const releases = new ReleaseStack();
let env: Record<string, string>;
let redis: Redis;

const json = async (...args: string[]): Promise<Trained> => (await trommelJson(args, { env })) as Trained;

async function queue(run: string, head: string): Promise<void> {
  await json(
    ...["train", dataset, "--run", run, "--head", head, "--backbone", tinyBackbone.name, "--no-follow"],
    ...["--views", "3", "--head", "se", "--epochs", "2", "--step", "8"],
  );
}

before(async () => {
  await writeFiles(dataset, await drawDataset(labels, { to: images / labels.length }));
  const store = await storeWithTinyBackbone(folder);
  const server = await startRedisServer();
  releases.add("redis", () => server.stop());
  redis = new Redis(server.url());
  releases.add("connection", () => redis.disconnect());
  env = { TROMMEL_STORE: store, TROMMEL_REDIS_URL: server.url() };
  const coordinator = new RunningCli(["coordinator"], { env });
  releases.add("coordinator", () => coordinator.stop());
  await coordinator.says("coordinator: redis");
});

after(async () => assert.deepEqual(await releases.releaseAll(), []));

describe("two runs on the same pictures at once", () => {
  it("extract them once", async () => {
    await queue("first", "se");
    await queue("second", "linear");
    // Both wait for a worker: one shard each, and the worker takes two at a time.
    const queued = async (): Promise<boolean> => (await waitingJobs(redis, "extract")).length === 2;
    await waitUntil("two shards are queued", queued);
    const worker = new RunningCli(["worker", "--threads", "1"], { env });
    releases.add("worker", () => worker.stop());
    const runs = [await json("status", "first", "--follow"), await json("status", "second", "--follow")];
    assert.deepEqual(
      runs.map(({ phase }) => phase),
      ["complete", "complete"],
    );
    const counts = runs.map(({ extraction }) => [extraction?.extracted, extraction?.reused]);
    assert.deepEqual(counts.sort(), [
      [0, images],
      [images, 0],
    ]);
  });
});
