import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { canonicalJson, LiveRun, openStore, recipe, ReleaseStack, runKeys } from "@trommel/common";
import { connectRedis } from "#common/jobs/connection/connect-redis";
import { flowOf } from "#common/jobs/run-rules";
import { findListing, findShard } from "#common/artefacts/shards/find-shard";
import { startCoordinator } from "#coordinator/coordinator";
import { JobProducer } from "#coordinator/run-control/queueing/job-producer";
import { readShard } from "#gpu-worker/stages/inputs/listing";
import type { Redis } from "ioredis";
import { pino } from "pino";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { writeFiles } from "../../support/images/dataset.js";
import { waitUntil } from "../../support/process/wait-until.js";
import { startRedisServer } from "../../support/servers/redis-server.js";

/** The coordinator before a real Redis, without workers: a plan that fails, a changed dataset, and the same run again. */

const folder = await temporaryFolder("failed-plan");
const releases = new ReleaseStack();
const store = openStore(join(folder, "store"));
let redis: Redis;
let producer: JobProducer;

before(async () => {
  const server = await startRedisServer();
  releases.add("server", () => server.stop());
  redis = connectRedis(server.url());
  releases.add("redis", () => redis.disconnect());
  producer = new JobProducer(server.url());
  releases.add("producer", () => producer.close());
  const log = pino({ level: "silent" });
  const coordinator = await startCoordinator({ redisUrl: server.url(), store, log });
  releases.add("coordinator", () => coordinator.stop());
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

/** A dataset and a run of it that is not planned yet. */
async function place(id: string, normalization: "backbone" | "dataset" = "backbone") {
  const pictures = join(folder, id);
  const add = async (names: readonly string[]): Promise<void> =>
    writeFiles(pictures, new Map(names.map((name) => [name, name])));
  const hash = "a".repeat(64);
  const config = {
    ...{ formatVersion: 1, id, dataset: `file://${pictures}`, export: null, side: 32 },
    recipe: recipe.parse({ backbones: ["net"], shardSize: 4, normalization }),
    labels: { classes: null, tableSha256: null },
    backbones: [{ id: "net@0123456789ab", hash, dimension: 5, inputSize: 32 }],
    fingerprint: hash,
  };
  await store.put(runKeys(id).config, Buffer.from(canonicalJson(config)));
  const liveRun = new LiveRun(redis, id);
  let attempt = 0;
  /** Opens the next attempt. @returns what its plan came to: its error, or `listed` */
  const plan = async (): Promise<string> => {
    const seen = attempt === 0 ? undefined : attempt;
    attempt = (await liveRun.open((number) => `${id}.${number}.bundle`, store.url, seen)) ?? 0;
    await producer.addFlow(
      flowOf("run", { tuned: false, measured: normalization === "dataset", folded: false, validated: true }),
      id,
      attempt,
    );
    return waitUntil("it is planned", async () => {
      const error = (await liveRun.state())?.error;
      if (error !== undefined) return `${error.code}: ${error.message}`;
      return (await store.head(runKeys(id).listing)) === undefined ? undefined : "listed";
    });
  };
  return { pictures, add, plan };
}

async function shardFiles(id: string): Promise<string[]> {
  return readdir(join(folder, "store", runKeys(id).root, "shards")).catch(() => []);
}

async function listedKeys(id: string): Promise<string[]> {
  const { shards = 0 } = (await findListing(store, runKeys(id).listing)) ?? {};
  const keys: string[] = [];
  for (let index = 0; index < shards; index += 1) {
    const shard = await findShard(store, runKeys(id).shard(index));
    keys.push(...(shard?.entries.map(({ key }) => key) ?? []));
  }
  return keys;
}

const numbered = (label: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${label}/${i}.jpg`);

describe("a plan that finds its dataset unusable", () => {
  for (const normalization of ["backbone", "dataset"] as const) {
    it(`lists afresh once another class is there (pixels normalised by the ${normalization})`, async () => {
      const id = `one-class-${normalization}`;
      const { add, plan } = await place(id, normalization);
      await add(numbered("m", 10));
      assert.match(await plan(), /^bad-dataset: .*at least two classes/);
      assert.deepEqual(await shardFiles(id), []);
      await assert.rejects(readShard(store, runKeys(id).shard(0)), { code: "cancelled" });
      await add([...numbered("a", 7), ...numbered("z", 3)]);
      assert.equal(await plan(), "listed");
      assert.deepEqual(await listedKeys(id), [
        ...numbered("a", 7),
        ...numbered("m", 10),
        ...numbered("z", 3),
      ]);
    });
  }

  it("leaves out nothing that was added before its last image, and forgets a class that was removed", async () => {
    const { add, plan, pictures } = await place("single");
    await add([...numbered("glass", 9), ...numbered("zz", 1), ...numbered("yy", 1)]);
    assert.match(await plan(), /^bad-dataset: .*"yy", "zz" has one image/);
    await rm(join(pictures, "yy"), { recursive: true });
    await add([...numbered("zz", 3), ...numbered("aluminium", 9)]);
    assert.equal(await plan(), "listed");
    assert.deepEqual(await listedKeys("single"), [
      ...numbered("aluminium", 9),
      ...numbered("glass", 9),
      ...numbered("zz", 3),
    ]);
  });
});
