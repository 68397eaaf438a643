import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  SeededRandom,
  canonicalJson,
  decodeGram,
  decodeProjection,
  openStore,
  recipe,
  runKeys,
  type ObjectStore,
  type Projection,
} from "@trommel/common";
import type { StageContext } from "#gpu-worker/stages/context";
import { gram } from "#gpu-worker/stages/gram";
import { solve } from "#gpu-worker/stages/solve";
import { extractedRun, putExtractedShard } from "../../../support/runs/extracted-run.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const root = await temporaryFolder("gram-stage");
const keys = runKeys("r");
const dimension = 130;
const views = 2;
const perShard = 20;
/** Two groups: one of sixteen shards, one of one. */
const shardCount = 17;
/** Positions that validate, in every shard. */
const validating = [3, 11];

const config = extractedRun(
  recipe.parse({
    backbones: ["net"],
    views: { count: views },
    head: { type: "se" },
    svd: { energy: 0.9, step: 6 },
  }),
  dimension,
  { classes: ["a", "b"], tableSha256: "0".repeat(64) },
);

describe("gram and solve stages", () => {
  it("keep float32 products where they tell all that is asked for", async () => {
    const random = new SeededRandom(1);
    // Twelve columns have nearly all of the energy.
    const value = (_: number, column: number) => (column < 12 ? 1 : 1e-3) * random.normal();
    const { store, notes, projection } = await solved("many", value);
    assert.ok((decodeGram(await store.get(keys.gram(0)), "g").roundingError ?? 0) > 0);
    assert.equal(projection.components, 12);
    // The stage `gram` tells of each shard; had the rows been summed again, there would be as many more.
    assert.equal(notes.filter((note) => note.startsWith("shard ")).length, shardCount);
    const rows = decodeGram(await store.get(keys.gram(0)), "g").rowCount;
    assert.equal(rows, 16 * (perShard - validating.length) * views);
  });

  it("sum again in float64 where rows are copies of few, and find how few", async () => {
    const random = new SeededRandom(2);
    const few = Float32Array.from({ length: 3 * dimension }, () => random.normal());
    const value = (row: number, column: number) => few[(row % 3) * dimension + column] ?? 0;
    const { store, notes, projection } = await solved("few", value);
    assert.ok((decodeGram(await store.get(keys.gram(0)), "g").roundingError ?? 0) > 0);
    assert.equal(projection.components, 3);
    assert.ok(Math.abs(projection.energyKept - 1) < 1e-12);
    assert.equal(notes.filter((note) => note.startsWith("shard ")).length, 2 * shardCount);
    // A retry whose marker was lost writes the same bytes.
    const again = await solved("few-again", value);
    assert.deepEqual(
      await readFile(join(root, "few-again", keys.projection)),
      await readFile(join(root, "few", keys.projection)),
    );
    assert.deepEqual(again.projection, projection);
  });

  it("refuse a run whose features another version made", async () => {
    const store = openStore(join(root, "older"));
    const older = { ...config, fingerprint: "f".repeat(64) };
    await store.put(keys.config, Buffer.from(canonicalJson(older)));
    await assert.rejects(gram("r", 0, contextOf(store, [])), {
      code: "unsupported",
      message: /another version of Trommel began it.*another id/,
    });
  });
});

interface Solved {
  readonly store: ObjectStore;
  readonly notes: readonly string[];
  readonly projection: Projection;
}

/** A run whose features are extracted, through both stages. */
async function solved(name: string, value: (row: number, column: number) => number): Promise<Solved> {
  const store = openStore(join(root, name));
  const put = (key: string, content: unknown) => store.put(key, Buffer.from(canonicalJson(content)));
  await put(keys.config, config);
  const images = shardCount * perShard;
  const totals = { listed: images, images, skipped: 0, sizeBytes: images };
  const classes = ["a", "b"].map((label) => ({ label, images: images / 2 }));
  await put(keys.listing, { formatVersion: 1, shards: shardCount, ...totals, classes });
  const validation = Array.from({ length: shardCount }, () => validating);
  await put(keys.split, { formatVersion: 2, seed: 0, fraction: 0.1, validation });
  for (let index = 0; index < shardCount; index += 1) {
    const files = Array.from({ length: perShard }, (_, i) => `${index}-${String(i).padStart(2, "0")}.jpg`);
    const first = index * perShard * views;
    await putExtractedShard(store, config, { index, keys: files }, (row, column) =>
      value(first + row, column),
    );
  }
  const notes: string[] = [];
  const context = contextOf(store, notes);
  for (const index of [0, 1]) await gram("r", index, context);
  await solve("r", context);
  const projection = decodeProjection(await store.get(keys.projection), "p");
  return { store, notes, projection };
}

function contextOf(store: ObjectStore, notes: string[]): StageContext {
  const ignore = () => undefined;
  return {
    store,
    threads: 1,
    engine: "onnx",
    log: undefined as never,
    signal: new AbortController().signal,
    onImages: ignore,
    onNote: (note) => void notes.push(note),
    onUnits: ignore,
  };
}
