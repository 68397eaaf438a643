import assert from "node:assert/strict";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, it } from "node:test";
import { openStore, outputKeys } from "@trommel/common";
import { PartList, sortedKeys, sortLedger, type SortHow, type SortLedger } from "@trommel/common/artefacts";
import { resolveSorting } from "#coordinator/sorting/resolve-sorting";
import { closeSort } from "#gpu-worker/stages/close-sort";
import { sort as sortStage } from "#gpu-worker/stages/sort";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { scoreFiles, sortedPlace } from "../../../support/runs/scored-files.js";
import { filesBelow } from "../../../support/files/file-hashes.js";

const folder = await temporaryFolder("sort-stage");
const never = new AbortController().signal;
const keys = Array.from({ length: 40 }, (_, i) => `day ${i % 3}/图 ${i}.jpg`).sort();
let made = 0;

/** A finished scoring, and what its jobs would do. */
async function scored() {
  made += 1;
  const root = join(folder, String(made));
  const { store, config, source } = await scoreFiles(root, `sort${made}`, keys);
  const into = join(root, "sorted");
  const resolve = async (how: SortHow, min = 0, target = pathToFileURL(into).href) => {
    const sorting = await resolveSorting(store, config, { into: target, how, min });
    await sorting.claim();
    return sorting.config;
  };
  const sortParts = async (how: SortHow, min = 0, signal = never, onImages = () => {}): Promise<string> => {
    const { id, parts } = await resolve(how, min);
    for (let index = 0; index < new PartList(parts).length; index += 1)
      await sortStage(id, index, { store, signal, onImages });
    return id;
  };
  const sort = async (how: SortHow, min = 0): Promise<SortLedger> => {
    const id = await sortParts(how, min);
    await closeSort(id, { store, signal: never });
    const body = await readFile(join(into, sortedKeys(id).ledger), "utf8");
    return sortLedger.parse(JSON.parse(body));
  };
  return { store, config, source, into, resolve, sortParts, sort };
}

const placeOf = (key: string): string => sortedPlace(key, keys.indexOf(key));

async function sortedIn(into: string): Promise<string[]> {
  return (await filesBelow(into)).filter((name) => !name.startsWith("_trommel/")).sort();
}

describe("sorting a scoring", () => {
  it("copies every picture into its label's folder, however the label is written", async () => {
    const { source, into, sort } = await scored();
    const ledger = await sort("copy");
    const { images, placed, below, unplaced, removed } = ledger;
    assert.deepEqual([images, placed, below, unplaced, removed], [40, 40, 0, 0, 0]);
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

  it("names pictures that are gone or another one than was scored", async () => {
    const { source, sort } = await scored();
    await writeFile(join(source, keys[0] ?? ""), "something longer than it was");
    await rm(join(source, keys[1] ?? ""));
    const ledger = await sort("copy");
    assert.deepEqual(ledger.unplacedByReason, { changed: 1, "not-found": 1 });
  });

  it("is refused into the pictures, and for a scoring that is not complete", async () => {
    const { config, source, resolve } = await scored();
    await assert.rejects(resolve("copy", 0, `${pathToFileURL(source).href}/sorted`), {
      code: "invalid-argument",
    });
    await openStore(config.output).delete([outputKeys.success]);
    await assert.rejects(resolve("copy"), { code: "conflict" });
  });

  it("closes no sorting of which a part is missing", async () => {
    const { store, resolve } = await scored();
    const { id } = await resolve("copy");
    await assert.rejects(closeSort(id, { store, signal: never }), { code: "missing-input" });
  });
});

describe("moving the pictures of a scoring", () => {
  it("continues after a stop to the same end", async () => {
    const { source, into, sort, sortParts } = await scored();
    const stop = new AbortController();
    await assert.rejects(
      sortParts("move", 0, stop.signal, () => stop.abort(new Error("stopped"))),
      { message: "stopped" },
    );
    assert.equal((await filesBelow(source)).length, 40, "no source goes before its part is verified");
    const ledger = await sort("move");
    assert.deepEqual([ledger.placed, ledger.unplaced, ledger.removed], [40, 0, 40]);
    assert.deepEqual(await sortedIn(into), keys.map(placeOf).sort());
    assert.deepEqual(await filesBelow(source), []);
  });

  it("continues among the removals: what was verified is placed, though its source is gone", async () => {
    const { into, sort, sortParts } = await scored();
    const id = await sortParts("move");
    await rm(join(into, sortedKeys(id).part(1)));
    const ledger = await sort("move");
    assert.deepEqual([ledger.placed, ledger.removed], [40, 40]);
    assert.deepEqual(await sortedIn(into), keys.map(placeOf).sort());
  });

  it("takes a file of the picture's size for nothing where the source is gone and was not verified", async () => {
    const { source, into, sort } = await scored();
    const key = keys[3] ?? "";
    await mkdir(dirname(join(into, placeOf(key))), { recursive: true });
    await writeFile(join(into, placeOf(key)), "x".repeat(Buffer.byteLength(key)));
    await rm(join(source, key));
    const ledger = await sort("move");
    assert.deepEqual([ledger.placed, ledger.removed], [39, 39]);
    assert.deepEqual(ledger.unplacedByReason, { "not-found": 1 });
  });

  it("leaves a source that was replaced after it had been verified, and counts it as not removed", async () => {
    const { source, into, sort, sortParts } = await scored();
    const id = await sortParts("move");
    const [first = ""] = keys;
    await writeFile(join(source, first), "another picture by now");
    await rm(join(into, sortedKeys(id).part(0)));
    const ledger = await sort("move");
    assert.deepEqual([ledger.placed, ledger.removed], [40, 39]);
    assert.equal(await readFile(join(source, first), "utf8"), "another picture by now");
    assert.equal(await readFile(join(into, placeOf(first)), "utf8"), first);
  });
});
