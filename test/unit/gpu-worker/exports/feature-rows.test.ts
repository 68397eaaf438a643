import assert from "node:assert/strict";
import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { featureShardKey, openStore, runConfig, runKeys, type Shard } from "@trommel/common";
import { resolveRunFeatures } from "@trommel/common/artefacts";
import { parseSealedAs, readInput } from "@trommel/common/codec";
import { StoredFeatures, type RowNames } from "#gpu-worker/exports/feature-rows";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

/** A run of three shards, three views and five images that could not be read. */
const kept = fileURLToPath(new URL("../../../../stores/2026-11-28/bucket/store/", import.meta.url));
const folder = await temporaryFolder("feature-rows");

describe("what a run has stored", () => {
  it("names its rows without a look at their features", async () => {
    const at = join(folder, "store");
    await cp(kept, at, { recursive: true });
    const store = openStore(at);
    const key = runKeys("first").config;
    const run = await resolveRunFeatures(
      store,
      parseSealedAs(runConfig, await store.get(key), key),
      readInput,
    );
    const features = new StoredFeatures(store, run, { shards: 3, signal: new AbortController().signal });
    const namesOf = async (rows: AsyncIterable<RowNames>): Promise<[string, number | undefined][]> => {
      const names: [string, number | undefined][] = [];
      for await (const { keys, views } of rows)
        names.push(...keys.map((of, row) => [of, views[row]] as [string, number | undefined]));
      return names;
    };
    const stored = await namesOf(features.rows());
    for (const index of [0, 1, 2]) {
      const shard = JSON.parse(await readFile(join(at, runKeys("first").shard(index)), "utf8")) as Shard;
      await rm(join(at, featureShardKey(run.fingerprint, shard.hash)));
    }
    assert.equal(stored.length, 36 * 3);
    assert.deepEqual(await namesOf(features.names()), stored);
    store.close();
  });
});
