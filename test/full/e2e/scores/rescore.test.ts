import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import type { Ledger } from "@trommel/common";
import { scoreDifferences, type ScoreDifferences } from "#common/artefacts/scores/score-differences";
import sharp from "sharp";
import { runInProcess, trommelJson } from "../../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";
import { currentRows } from "../../../support/runs/current-rows.js";

const folder = await temporaryFolder("rescore");
const source = join(folder, "source");
const [first, second] = [join(folder, "first"), join(folder, "second")];
const patient = { timeoutMs: 240_000 };
let store = "";

interface Answer {
  readonly id: string;
  readonly ledger: Ledger;
  readonly differences?: ScoreDifferences;
  readonly generation?: { readonly number: number; readonly added: number };
}

const args = (output: string, model: string, ...more: string[]): string[] => [
  ...["score", ...more, "--model", model, "--output", output, "--store", store],
  ...["--workers", "1", "--shard-size", "8"],
];
const score = async (output: string, model: string, ...more: string[]): Promise<Answer> =>
  (await trommelJson(args(output, model, ...more), patient)) as Answer;

interface Row {
  readonly key: string;
  readonly label: string;
  readonly probability: number;
}

async function rowsOf(output: string): Promise<Map<string, Row>> {
  const rows = (await currentRows(output, "jsonl")).map((line) => JSON.parse(line) as Row);
  return new Map(rows.map((row) => [row.key, row]));
}

async function picture(colour: number): Promise<Buffer> {
  const background = { r: (colour * 37) % 256, g: (colour * 91) % 256, b: (colour * 53) % 256 };
  return sharp({ create: { width: 16, height: 16, channels: 3, background } })
    .png()
    .toBuffer();
}

const train = (run: string): Promise<unknown> =>
  trommelJson(
    [
      ...["train", join(folder, run), "--store", store, "--run", run, "--workers", "1", "--views", "1"],
      ...["--backbone", tinyBackbone.name, "--head", "se", "--epochs", "8", "--step", "8"],
    ],
    patient,
  );

before(async () => {
  const drawn = await drawDataset(["can", "cup", "jar"], { to: 10 });
  // The second model has other names for two of the classes.
  const name = (key: string): string => key.replace("jar/", "glass/").replace("can/", "tin/");
  const renamed = [...drawn].map(([key, bytes]) => [name(key), bytes] as const);
  await writeFiles(join(folder, "one"), drawn);
  await writeFiles(join(folder, "two"), new Map(renamed));
  store = await storeWithTinyBackbone(folder);
  await train("one");
  await train("two");
  await writeFiles(source, new Map([...drawn.values()].map((bytes, i) => [`${i}.png`, bytes])));
  await writeFile(join(source, "late.png"), "no picture");
});

describe("a scoring of an earlier scoring's images by another model", () => {
  it("has the images of its last generation, and says which labels differ", async () => {
    const { id } = await score(first, "one", source);
    await rm(join(source, "late.png"));
    await writeFile(join(source, "late.png"), await picture(99));
    await rm(join(source, "7.png"));
    await writeFile(join(source, "new.png"), await picture(50));
    assert.equal((await score(first, "one", source)).generation?.number, 1);
    // Nobody has scored this one yet.
    await writeFile(join(source, "newest.png"), await picture(51));
    const found = await score(second, "two", "--rescore", first);
    const [before, after] = [await rowsOf(first), await rowsOf(second)];
    assert.equal(found.ledger.listed, 31);
    assert.deepEqual([...after.keys()].sort(), [...before.keys()].sort());
    const expected = [...after.values()].flatMap(({ key, label, probability }) => {
      const earlier = before.get(key);
      assert.ok(earlier !== undefined);
      const was = { label: earlier.label, probability: earlier.probability };
      return label === earlier.label ? [] : [{ key, before: was, after: { label, probability } }];
    });
    assert.ok(expected.length > 0, "the two models agree on everything");
    const lines = (await readFile(join(second, "differences.jsonl"), "utf8")).split("\n").filter(Boolean);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line) as unknown),
      expected,
    );
    const counts = scoreDifferences.parse(
      JSON.parse(await readFile(join(second, "differences.json"), "utf8")),
    );
    assert.deepEqual(found.differences, counts);
    assert.deepEqual(
      [counts.before.scoring, counts.before.generation, counts.inBoth, counts.different],
      [id, 1, 31, expected.length],
    );
    assert.deepEqual([counts.onlyBefore, counts.onlyAfter, counts.same], [0, 0, 31 - expected.length]);
    assert.equal(
      counts.changes.reduce((sum, { images }) => sum + images, 0),
      expected.length,
    );
    const { stdout } = await runInProcess(["status", found.id, "--store", store]);
    assert.match(stdout, new RegExp(`${expected.length} of 31 images have another label than in ${id}`));
  });

  it("scores what has come since when it is called again, and compares again", async () => {
    const next = await score(second, "two", "--rescore", first, source);
    assert.deepEqual([next.generation?.number, next.generation?.added], [1, 1]);
    assert.deepEqual([next.differences?.inBoth, next.differences?.onlyAfter], [31, 1]);
  });

  it("has the images of a manifest in its order, with its columns", async () => {
    const listed = ["12.png", "3.png", "25.png", "3.txt", "8.png"];
    const list = join(folder, "list.csv");
    await writeFile(list, ["key,number", ...listed.map((key, i) => `${key},${i}`), ""].join("\n"));
    const [third, fourth] = [join(folder, "third"), join(folder, "fourth")];
    await score(third, "one", source, "--manifest", list);
    // The manifest is not read again.
    await rm(list);
    const found = await score(fourth, "two", "--rescore", third);
    const rows = (await currentRows(fourth, "jsonl")).map(
      (line) => JSON.parse(line) as Row & { number: string },
    );
    assert.deepEqual(
      rows.map(({ key, number }) => [key, number]),
      [
        ["12.png", "0"],
        ["3.png", "1"],
        ["25.png", "2"],
        ["8.png", "4"],
      ],
    );
    assert.deepEqual([found.ledger.listed, found.ledger.failedByReason], [5, { "not-found": 1 }]);
    assert.equal(found.differences?.inBoth, 4);
  });

  it("has the images of a sample", async () => {
    const [drawn, again] = [join(folder, "drawn"), join(folder, "drawn-again")];
    await score(drawn, "one", source, "--sample", "8", "--seed", "3");
    const found = await score(again, "two", "--rescore", drawn);
    assert.deepEqual([...(await rowsOf(again)).keys()], [...(await rowsOf(drawn)).keys()]);
    assert.deepEqual([found.ledger.ok, found.differences?.inBoth], [8, 8]);
  });

  it("has what a retry has recovered", async () => {
    const [recovered, output] = [join(folder, "recovered"), join(folder, "recovered-scores")];
    await writeFiles(
      recovered,
      new Map<string, Buffer | string>([
        ["a.png", await picture(1)],
        ["b.png", "no picture"],
      ]),
    );
    const { id, ledger } = await score(output, "one", recovered);
    assert.equal(ledger.failed, 1);
    await writeFile(join(recovered, "b.png"), await picture(2));
    await trommelJson(["retry", id, "--store", store, "--workers", "1"], patient);
    const found = await score(join(folder, "recovered-again"), "two", "--rescore", id);
    assert.deepEqual([found.ledger.ok, found.differences?.inBoth], [2, 2]);
  });

  it("scores the stored features that the earlier one scored", async () => {
    const stored = (output: string, model: string, ...more: string[]): Promise<unknown> =>
      trommelJson(
        [
          ...["score", "--features-of", "one", "--model", model, "--output", output, ...more],
          ...["--store", store, "--workers", "1"],
        ],
        patient,
      );
    const [before, after] = [join(folder, "stored"), join(folder, "stored-again")];
    const { id } = (await stored(before, "one")) as Answer;
    const { code, stderr } = await runInProcess(args(join(folder, "refused"), "two", "--rescore", id));
    assert.equal(code, 2);
    assert.match(stderr, /it scored the stored features of one\. Give --features-of one/);
    const found = (await stored(after, "two", "--rescore", id)) as Answer;
    assert.deepEqual([found.ledger.listed, found.differences?.inBoth], [30, 30]);
    assert.deepEqual([...(await rowsOf(after)).keys()], [...(await rowsOf(before)).keys()]);
  });

  it("is refused for the same model, another source, what selects images, and a scoring that does not exist", async () => {
    const other = join(folder, "one");
    for (const [more, message] of [
      [["one", "--rescore", first], /cannot rescore score-\w+ with .*it is the model that scored it/],
      [["two", "--rescore", first, other], /cannot rescore score-\w+ with .*one: that scoring is of/],
      [["two", "--rescore", first, "--limit", "3"], /--limit/],
      [["two", "--rescore", "score-none"], /it is no scoring of file:.*store and no output of one/],
    ] as const) {
      const [model, ...flags] = more;
      const { code, stderr } = await runInProcess(args(join(folder, "refused"), model, ...flags));
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    }
  });

  it("is refused for a scoring that is not complete", async () => {
    await rm(join(first, "_SUCCESS.json"));
    const { code, stderr } = await runInProcess(
      args(join(folder, "refused"), "two", "--rescore", first, source),
    );
    assert.equal(code, 1);
    assert.match(stderr, /cannot rescore the scoring score-\w+: it is not complete/);
  });
});
