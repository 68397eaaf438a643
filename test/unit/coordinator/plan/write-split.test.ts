import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  labelOfKey,
  openStore,
  recipe,
  runKeys,
  type ObjectStore,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { sealedJson } from "#common/codec/sealed-json";
import { chooseSplit, splitRank } from "#coordinator/plan/split/choose-split";
import { RankedImages, sides } from "#coordinator/plan/split/ranked-images";
import { SplitMemory } from "#coordinator/plan/split/split-memory";
import { skipByName } from "#coordinator/listing/key-filter";
import { streamShards, writeShard } from "#coordinator/plan/stream-shards";
import { findShard } from "#common/artefacts/shards/find-shard";
import { extendSplit, writeSplit } from "#coordinator/plan/split/write-split";
import { SyntheticSource } from "../../../bench/synthetic/synthetic-source.js";
import { readValidationKeys } from "../../../support/runs/read-split.js";
import { chooseByKeys } from "../../../support/runs/split-by-keys.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const root = await temporaryFolder("write-split");
const seed = 3;
const config = {
  ...{ id: "r", dataset: "file:///pictures" },
  recipe: recipe.parse({ backbones: ["net"], seed, validation: { fraction: 0.05 } }),
} as RunConfig;

describe("writeSplit", () => {
  it("writes the chosen positions as canonical JSON, and their keys for later runs", async () => {
    const store = openStore(root);
    const ranked = new RankedImages();
    const keysByLabel = new Map<string, string[]>();
    for await (const { entries } of streamShards({
      ...{ source: new SyntheticSource({ keys: 700, classes: 3 }), store, shardSize: 9 },
      shardKey: runKeys("r").shard,
      signal: new AbortController().signal,
      skip: skipByName,
    })) {
      for (const { key } of entries) {
        const label = labelOfKey(key) ?? "";
        ranked.add(label, splitRank(seed, key), sides.open);
        keysByLabel.set(label, [...(keysByLabel.get(label) ?? []), key]);
      }
      ranked.endShard();
    }
    const chosen = chooseSplit(ranked, { ...config.recipe.validation, test: null });
    const memory = new SplitMemory(store, config);
    const memories = { validation: memory, test: new SplitMemory(store, config, "test") };
    await writeSplit(store, config, chosen, memories);

    const text = await readFile(join(root, runKeys("r").split), "utf8");
    const { sha256: _, ...written } = JSON.parse(text) as Record<string, unknown>;
    assert.equal(text, sealedJson(written).toString("utf8"));
    const expected = chooseByKeys(keysByLabel, {
      ...{ fraction: 0.05, of: "class", remembered: new Set() },
      rankOf: (key) => splitRank(seed, key),
    });
    assert.deepEqual(await readValidationKeys(root, "r"), expected);
    const remembered = await memory.read();
    const left: string[] = [];
    for (const key of [...keysByLabel.values()].flat()) if (await remembered.has(key)) left.push(key);
    assert.deepEqual(left, expected);

    // A retry finds the split, and leaves it.
    await writeSplit(store, config, chosen, memories);
    assert.equal(await readFile(join(root, runKeys("r").split), "utf8"), text);

    // A test part lies before the validation part, sealed alike, with a memory of its own.
    const tested = { ...config, id: "t" };
    const tests = {
      validation: new SplitMemory(store, tested),
      test: new SplitMemory(store, tested, "test"),
    };
    for (let index = 0; ; index += 1) {
      const shard = await findShard(store, runKeys("r").shard(index));
      if (shard === undefined) break;
      await writeShard(store, runKeys("t").shard(index), index, shard);
    }
    const both = chooseSplit(ranked, { ...config.recipe.validation, test: 0.2 });
    await writeSplit(store, tested, both, tests);
    const split = await readFile(join(root, runKeys("t").split), "utf8");
    const { sha256: __, ...fields } = JSON.parse(split) as Record<string, unknown>;
    assert.equal(split, sealedJson(fields).toString("utf8"));
    assert.deepEqual(
      fields["test"],
      Array.from(both.test ?? [], (of) => [...of]),
    );
    const isTested = await tests.test.read();
    let count = 0;
    for (const key of [...keysByLabel.values()].flat()) if (await isTested.has(key)) count += 1;
    assert.equal(count, fields["test"].flat().length);
    assert.ok(count > 100);
  });
});

describe("extendSplit", () => {
  it("leaves the validation keys for later runs also where the run that is tried again is removed", async () => {
    const store = openStore(root);
    const again = { ...config, id: "r-retry1", retryOf: { run: "r", reasons: null } };
    const expected = await readValidationKeys(root, "r");
    let shards = 0;
    for (; ; shards += 1) {
      const shard = await findShard(store, runKeys("r").shard(shards));
      if (shard === undefined) break;
      await writeShard(store, runKeys(again.id).shard(shards), shards, shard);
    }
    const first = await findShard(store, runKeys("r").shard(0));
    assert.ok(first !== undefined && shards > 1);
    const supersedes = { by: again.id, rows: first.entries.map((_, position) => ({ shard: 0, position })) };
    const last = { entries: first.entries, skipped: [], supersedes };
    const tried = await writeShard(store, runKeys(again.id).shard(shards), shards, last);
    const memory = new SplitMemory(store, again);
    const memories = { validation: memory, test: new SplitMemory(store, again, "test") };
    await extendSplit(store, again, [tried], memories);

    const left: string[] = [];
    for await (const { key } of store.list("splits/")) if (!key.includes(again.id)) left.push(key);
    assert.ok(left.length > 0);
    await store.delete(left);
    const remembered = await memory.read();
    const found: string[] = [];
    for await (const { entries } of shardsOf(store, shards)) {
      for (const { key } of entries) if (await remembered.has(key)) found.push(key);
    }
    assert.deepEqual(found, expected);
  });

  it("keeps the test part, and gives a file that is tried again its side there", async () => {
    const store = openStore(root);
    const again = { ...config, id: "t-retry1", retryOf: { run: "t", reasons: null } };
    const read = async (id: string) =>
      JSON.parse(await readFile(join(root, runKeys(id).split), "utf8")) as Record<
        "test" | "validation",
        number[][]
      >;
    const before = await read("t");
    const shards = before.test.length;
    const rows = before.test.flatMap((of, shard) => of.map((position) => ({ shard, position }))).slice(0, 2);
    const [validated] = before.validation.flatMap((of, shard) => of.map((position) => ({ shard, position })));
    assert.ok(validated !== undefined);
    const all = [...rows, validated];
    const entries = all.map(({ shard }) => ({ key: `k${shard}`, sizeBytes: 1, etag: "e" }));
    const last = { entries, skipped: [], supersedes: { by: again.id, rows: all } };
    const tried = await writeShard(store, runKeys(again.id).shard(shards), shards, last);
    for (let index = 0; index < shards; index += 1) {
      const shard = await findShard(store, runKeys("t").shard(index));
      if (shard !== undefined) await writeShard(store, runKeys(again.id).shard(index), index, shard);
    }
    const memories = {
      validation: new SplitMemory(store, again),
      test: new SplitMemory(store, again, "test"),
    };
    await extendSplit(store, again, [tried], memories);
    const after = await read(again.id);
    assert.deepEqual(after.test, [...before.test, [0, 1]]);
    assert.deepEqual(after.validation, [...before.validation, [2]]);
  });
});

async function* shardsOf(store: ObjectStore, count: number): AsyncGenerator<Shard> {
  for (let index = 0; index < count; index += 1) {
    const shard = await findShard(store, runKeys("r").shard(index));
    if (shard !== undefined) yield shard;
  }
}
