import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { labelOfKey, openStore, recipe, runKeys, type RunConfig } from "@trommel/common";
import { sealedJson } from "@trommel/common/codec/sealed-json";
import { chooseSplit, splitRank } from "@trommel/coordinator/plan/choose-split";
import { RankedImages } from "@trommel/coordinator/plan/ranked-images";
import { SplitMemory } from "@trommel/coordinator/plan/split-memory";
import { skipHidden, streamShards } from "@trommel/coordinator/plan/stream-shards";
import { writeSplit } from "@trommel/coordinator/plan/write-split";
import { SyntheticSource } from "../bench/synthetic-source.js";
import { readValidationKeys } from "../support/read-split.js";
import { chooseByKeys } from "../support/split-by-keys.js";
import { temporaryFolder } from "../support/temp-folder.js";

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
      skip: skipHidden,
    })) {
      for (const { key } of entries) {
        const label = labelOfKey(key) ?? "";
        ranked.add(label, splitRank(seed, key), false);
        keysByLabel.set(label, [...(keysByLabel.get(label) ?? []), key]);
      }
      ranked.endShard();
    }
    const chosen = chooseSplit(ranked, config.recipe.validation);
    const memory = new SplitMemory(store, config);
    await writeSplit(store, config, chosen, memory);

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
    await writeSplit(store, config, chosen, memory);
    assert.equal(await readFile(join(root, runKeys("r").split), "utf8"), text);
  });
});
