import assert from "node:assert/strict";
import { link, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import type { Ledger } from "@trommel/common";
import { scoringSuccess, type ScoringSuccess } from "#common/artefacts/scores/scoring-output";
import { trommel, trommelJson } from "../../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { fileHashes } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";
import { currentRows } from "../../../support/runs/current-rows.js";
import sharp from "sharp";

const images = 10_000;
const folder = await temporaryFolder("only-what-is-new");
const source = join(folder, "source");
const output = join(folder, "scores");
let store = "";

interface Answer {
  readonly id: string;
  readonly ledger: Ledger;
  readonly generation?: { readonly number: number; readonly added: number; readonly changed: number };
}

const scoreArgs = (to: string, workers = 2): string[] => [
  ...["score", source, "--model", "model", "--output", to, "--store", store],
  ...["--workers", String(workers), "--format", "csv,kaggle,parquet"],
];
const score = async (to: string, workers?: number): Promise<Answer> =>
  (await trommelJson(scoreArgs(to, workers), { timeoutMs: 300_000 })) as Answer;

const keyOf = (index: number): string => `${String(index % 10)}/${String(index).padStart(5, "0")}, "a".png`;
const readSuccess = async (of: string): Promise<ScoringSuccess> =>
  scoringSuccess.parse(JSON.parse(await readFile(join(of, "_SUCCESS.json"), "utf8")));
const readLines = async (...names: string[]): Promise<{ key: string; change: string }[]> =>
  (await readFile(join(folder, ...names), "utf8"))
    .split("\n")
    .flatMap((line) => (line === "" ? [] : [JSON.parse(line) as { key: string; change: string }]));

/** A picture of few bytes in a colour of its own. */
async function picture(index: number): Promise<Buffer> {
  const background = { r: (index * 37) % 256, g: (index * 91) % 256, b: (index * 53) % 256 };
  return sharp({ create: { width: 16, height: 16, channels: 3, background } })
    .png()
    .toBuffer();
}

before(async () => {
  const labelled = join(folder, "labelled");
  await writeFiles(labelled, await drawDataset(["can", "cup", "jar"], { to: 10 }));
  store = await storeWithTinyBackbone(folder);
  await trommelJson([
    ...["train", labelled, "--store", store, "--run", "model", "--workers", "1"],
    ...["--backbone", tinyBackbone.name, "--views", "1", "--head", "se", "--epochs", "10", "--step", "8"],
    ...["--validation", "0.25"],
  ]);
  // Ten thousand keys of a hundred files.
  const originals = join(folder, "originals");
  await mkdir(originals);
  for (let digit = 0; digit < 10; digit += 1) await mkdir(join(source, String(digit)), { recursive: true });
  for (let index = 0; index < images; index += 1) {
    const original = join(originals, String(index % 100));
    if (index < 100) await writeFile(original, await picture(index));
    await link(original, join(source, keyOf(index)));
  }
  // A file of its own: a link would be written through.
  await rm(join(source, keyOf(4)));
  await writeFile(join(source, keyOf(4)), "no picture");
  await writeFile(join(source, "3/.hidden"), "");
});

describe("the same command after the source has changed", () => {
  const added = Array.from({ length: 100 }, (_, i) => keyOf(images + i * 7));
  const touched = Array.from({ length: 10 }, (_, i) => keyOf(i * 777 + 1));
  const removed = [17, 18, 5000, 7777, 9999].map(keyOf);

  it("says that nothing has changed, and writes nothing", async () => {
    const { ledger } = await score(output);
    assert.deepEqual(
      [ledger.ok, ledger.failed, ledger.skipped, ledger.unchanged],
      [images - 1, 1, 1, undefined],
    );
    const [before, scorings] = [await fileHashes(output), await fileHashes(join(store, "scorings"))];
    const again = await trommel(scoreArgs(output));
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /its source has not changed since: nothing to score/);
    assert.deepEqual(await fileHashes(output), before);
    assert.deepEqual(await fileHashes(join(store, "scorings")), scorings);
  });

  it("scores exactly what is new or changed", async () => {
    for (const [i, key] of added.entries()) await writeFile(join(source, key), await picture(1000 + i));
    for (const [i, key] of touched.entries()) {
      await rm(join(source, key));
      await writeFile(join(source, key), await picture(2000 + i));
    }
    for (const key of removed) await rm(join(source, key));
    const before = await fileHashes(output);
    const { ledger, generation } = await score(output);
    assert.deepEqual(generation, { number: 1, added: 100, changed: 10, removed: 5 });
    assert.equal(ledger.ok, 110);
    assert.deepEqual(
      [ledger.listed, ledger.failed, ledger.skipped, ledger.unchanged],
      [images + 96, 1, 1, images - 1 - 10 - 5],
    );
    // Nothing that was there before is touched but the one file that names what is current.
    for (const [name, hash] of await fileHashes(output))
      if (name !== "_SUCCESS.json" && before.has(name)) assert.equal(hash, before.get(name), name);
  });

  it("names the keys that are added, changed and removed", async () => {
    const changes = await readLines("scores/generation-00001/changes.jsonl");
    const of = (change: string): string[] =>
      changes.filter((line) => line.change === change).map(({ key }) => key);
    assert.deepEqual(of("added").sort(), [...added].sort());
    assert.deepEqual(of("changed").sort(), [...touched].sort());
    assert.deepEqual(of("removed").sort(), [...removed].sort());
  });

  it("has the rows of a fresh scoring, byte for byte and in each format, with one worker as with two", async () => {
    const fresh = join(folder, "fresh");
    await score(fresh, 1);
    for (const format of ["jsonl", "csv", "kaggle", "parquet"] as const) {
      const [found, expected] = [await currentRows(output, format), await currentRows(fresh, format)];
      assert.equal(found.length, images + 95 - 1, format);
      assert.deepEqual(found.sort(), expected.sort(), format);
    }
    assert.deepEqual((await readSuccess(output)).rows, (await readSuccess(fresh)).rows);
  });

  it("tries a failed image of an earlier generation again", async () => {
    const { id } = await score(output);
    await rm(join(source, keyOf(4)));
    await writeFile(join(source, keyOf(4)), await picture(4));
    const retried = (await trommelJson(["retry", id, "--store", store, "--workers", "1"])) as Answer;
    assert.deepEqual([retried.ledger.failed, retried.ledger.ok], [0, 111]);
    assert.equal((await currentRows(output, "jsonl")).length, images + 95);
    // The picture that the retry read is the one that the source has.
    const next = await score(output);
    assert.equal(next.generation?.number, 1);
    await rm(join(source, keyOf(8)));
    const third = await score(output);
    assert.deepEqual(third.generation, { number: 2, added: 0, changed: 0, removed: 1 });
    assert.equal((await currentRows(output, "jsonl")).length, images + 94);
    assert.equal((await stat(join(output, "generation-00002/ledger.json"))).isFile(), true);
  });
});
