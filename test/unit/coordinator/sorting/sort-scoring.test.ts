import assert from "node:assert/strict";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, it } from "node:test";
import {
  openStore,
  outputKeys,
  scoringConfig,
  scoringKeys,
  shardHash,
  type ScoringConfig,
} from "@trommel/common";
import { PartList } from "@trommel/common/artefacts";
import { jsonBytes, parseSealedAs } from "@trommel/common/codec";
import { sortScoring } from "#coordinator/sorting/sort-scoring";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores } from "../../../support/runs/written-scores.js";
import { filesBelow } from "../../../support/files/file-hashes.js";

const folder = await temporaryFolder("sort-scoring");
const never = new AbortController().signal;
const keys = Array.from({ length: 40 }, (_, i) => `day ${i % 3}/图 ${i}.jpg`).sort();
const probability = (i: number): number => (i % 4 === 0 ? 0.55 : 0.95);
const classes = ["可回收物/易拉罐", "glass"];
let made = 0;

/** A finished scoring of files that each hold their own key: every second one is glass. */
async function scored() {
  made += 1;
  const root = join(folder, String(made));
  const source = join(root, "pictures");
  for (const key of keys) {
    await mkdir(dirname(join(source, key)), { recursive: true });
    await writeFile(join(source, key), key);
  }
  const store = openStore(join(root, "store"));
  const rows = keys.map((key, i) => {
    const likeliest = probability(i);
    return { key, probabilities: i % 2 === 0 ? [1 - likeliest, likeliest] : [likeliest, 1 - likeliest] };
  });
  const location = pathToFileURL(join(root, "scores")).href;
  const written = { location, name: `sort${made}`, classes, rows, source: pathToFileURL(source).href };
  const { id, parts } = await writeScores(written, store);
  const images = openStore(source);
  for (let index = 0; index < new PartList(parts).length; index += 1) {
    const lines = await readFile(join(root, "scores", outputKeys.part(index, "jsonl")), "utf8");
    const listed = lines
      .split("\n")
      .filter(Boolean)
      .map((line) => (JSON.parse(line) as { key: string }).key);
    const entries = await Promise.all(
      listed.map(async (key) => {
        const { sizeBytes = 0, etag = "" } = (await images.head(key)) ?? {};
        return { key, sizeBytes, etag };
      }),
    );
    const shard = { formatVersion: 1, index, hash: shardHash(entries), entries, skipped: [] };
    await store.put(scoringKeys(id).shard(index), jsonBytes(shard));
  }
  const key = scoringKeys(id).config;
  const config: ScoringConfig = parseSealedAs(scoringConfig, await store.get(key), key);
  const into = join(root, "sorted");
  const sort = (how: "copy" | "link" | "move", min = 0, signal = never) =>
    sortScoring(store, config, { into: pathToFileURL(into).href, how, min, signal });
  return { store, config, source, into, sort };
}

const labelOf = (i: number): string => classes[i % 2 === 0 ? 1 : 0] ?? "";
const placeOf = (key: string): string => join(labelOf(keys.indexOf(key)), key);

async function sortedIn(into: string): Promise<string[]> {
  return (await filesBelow(into)).filter((name) => !name.startsWith("_trommel/")).sort();
}

describe("sorting a scoring", () => {
  it("copies every picture into its label's folder, however the label is written", async () => {
    const { source, into, sort } = await scored();
    const ledger = await sort("copy");
    assert.deepEqual([ledger.images, ledger.placed, ledger.below, ledger.unplaced], [40, 40, 0, 0]);
    assert.deepEqual(await sortedIn(into), keys.map(placeOf).sort());
    for (const key of keys) assert.equal(await readFile(join(into, placeOf(key)), "utf8"), key);
    assert.equal((await filesBelow(source)).length, 40);
  });

  it("leaves the less probable where they are, and links where that is asked for", async () => {
    const { source, into, sort } = await scored();
    const ledger = await sort("link", 0.9);
    assert.deepEqual([ledger.placed, ledger.below], [30, 10]);
    for (const name of await sortedIn(into)) assert.equal((await stat(join(into, name))).nlink, 2);
    assert.equal((await filesBelow(source)).length, 40);
  });

  it("overwrites nothing, and names what it left", async () => {
    const { into, sort } = await scored();
    const taken = placeOf(keys[3] ?? "");
    await mkdir(dirname(join(into, taken)), { recursive: true });
    await writeFile(join(into, taken), "somebody else's");
    const ledger = await sort("copy");
    assert.deepEqual([ledger.placed, ledger.unplaced], [39, 1]);
    assert.deepEqual(ledger.unplacedByReason, { taken: 1 });
    assert.equal(await readFile(join(into, taken), "utf8"), "somebody else's");
    const list = await readFile(new URL(ledger.unplacedList), "utf8");
    assert.deepEqual(JSON.parse(list), { key: keys[3], reason: "taken" });
  });

  for (const how of ["move", "copy"] as const)
    it(`takes no other file of the same size for the picture (${how})`, async () => {
      const { source, into, sort } = await scored();
      const key = keys[3] ?? "";
      const other = "x".repeat(Buffer.byteLength(key));
      await mkdir(dirname(join(into, placeOf(key))), { recursive: true });
      await writeFile(join(into, placeOf(key)), other);
      const ledger = await sort(how);
      assert.deepEqual([ledger.placed, ledger.unplacedByReason], [39, { taken: 1 }]);
      assert.equal(await readFile(join(into, placeOf(key)), "utf8"), other);
      assert.equal(await readFile(join(source, key), "utf8"), key);
    });

  it("moves, and goes on after a stop to the same end", async () => {
    const { source, into, sort } = await scored();
    const stop = new AbortController();
    const stopped = sort("move", 0, stop.signal);
    setImmediate(() => stop.abort(new Error("stopped")));
    await stopped.catch(() => undefined);
    const ledger = await sort("move");
    assert.deepEqual([ledger.placed, ledger.unplaced], [40, 0]);
    assert.deepEqual(await sortedIn(into), keys.map(placeOf).sort());
    assert.deepEqual(await filesBelow(source), []);
  });

  it("names pictures that are gone or another one than was scored", async () => {
    const { source, sort } = await scored();
    await writeFile(join(source, keys[0] ?? ""), "something longer than it was");
    await openStore(source).delete([keys[1] ?? ""]);
    const ledger = await sort("copy");
    assert.deepEqual(ledger.unplacedByReason, { changed: 1, "not-found": 1 });
  });

  it("is refused into the pictures, and for a scoring that is not complete", async () => {
    const { store, config, source } = await scored();
    const options = { how: "copy", min: 0, signal: never } as const;
    await assert.rejects(
      sortScoring(store, config, { ...options, into: `${pathToFileURL(source).href}/sorted` }),
      { code: "invalid-argument" },
    );
    await openStore(config.output).delete([outputKeys.success]);
    await assert.rejects(
      sortScoring(store, config, { ...options, into: pathToFileURL(join(folder, "elsewhere")).href }),
      { code: "conflict" },
    );
  });
});
