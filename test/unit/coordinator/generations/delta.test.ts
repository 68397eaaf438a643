import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore } from "@trommel/common";
import { findDelta, writeDelta, type Delta } from "#coordinator/generations/delta";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("delta");

describe("what the listing of a later generation found", () => {
  it("keeps the counts of patterns, whatever they are called", async () => {
    const store = openStore(join(folder, "store"));
    const excluded = JSON.parse('{"__proto__": 2, "constructor": 3}') as Record<string, number>;
    const delta: Delta = {
      ...{ formatVersion: 1, shards: 0, images: 0, listed: { images: 1, sizeBytes: 1 } },
      ...{ skippedByReason: { excluded: 5 }, skippedKeys: [], excluded, withoutEffect: null, outOfDate: [] },
    };
    await writeDelta(store, "delta.json", delta);
    await writeDelta(store, "delta.json", delta);
    const found = await findDelta(store, "delta.json");
    assert.deepEqual(Object.entries(found?.excluded ?? {}), [
      ["__proto__", 2],
      ["constructor", 3],
    ]);
  });
});
