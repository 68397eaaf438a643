import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { openStore, sha256Hex } from "@trommel/common";
import type { SourceForm } from "@trommel/common/artefacts";
import { escapeHtml } from "#gpu-worker/report/html";
import type { EvaluationResult } from "#trommel/api/evaluation/evaluation";
import { fileHashes } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { onlyJsonObject, runInProcess } from "../../../support/process/cli.js";
import { writeScores, type WrittenRow } from "../../../support/runs/written-scores.js";

/** `trommel evaluate` on scores that are there: no cluster, no picture. */

const folder = await temporaryFolder("cli-evaluate");
const store = join(folder, "store");
const classes = ["glass", "metal"];
/** Six of eight are right: three of four in either class. */
const rows: readonly WrittenRow[] = [
  ...row("glass", [0.9, 0.8, 0.7, 0.4]),
  ...row("metal", [0.1, 0.2, 0.3, 0.6]),
];
const first = join(folder, "first");
const second = join(folder, "second");
const strict = join(folder, "strict");

/** Images of a class by their probability of glass. */
function row(label: string, ofGlass: readonly number[]): WrittenRow[] {
  return ofGlass.map((glass, i) => ({
    key: `${label}/${i}.png`,
    probabilities: [glass, Number((1 - glass).toFixed(1))],
  }));
}

const run = (source: string, ...more: string[]) =>
  runInProcess(["evaluate", source, "--store", store, ...more], { cwd: folder });
const result = async (source: string, ...more: string[]): Promise<EvaluationResult> => {
  const { code, stdout, stderr } = await run(source, ...more, "--json");
  assert.equal(code, 0, stderr);
  return onlyJsonObject(stdout) as EvaluationResult;
};

before(async () => {
  const source = `file://${join(folder, "images")}`;
  const own = openStore(`file://${store}`);
  const of = (name: string, written: readonly WrittenRow[]) =>
    writeScores({ location: `file://${join(folder, name)}`, name, classes, rows: written, source }, own);
  await of("first", rows);
  // Of the second all metal is right, and no glass.
  await of("second", [...row("glass", [0.4, 0.4, 0.4, 0.4]), ...row("metal", [0.1, 0.1, 0.1, 0.1])]);
  // The first's model, which calls one of its right answers unknown.
  const called = rows.map((one, i) => (i === 2 ? { ...one, label: "unknown" } : one));
  const location = `file://${strict}`;
  await writeScores({ location, name: "strict", model: "first", classes, rows: called, source }, own);
  own.close();
});

describe("trommel evaluate", () => {
  it("names all that it can compare with if a place is none of it", async () => {
    const { code, stderr } = await run(first, "--compare", "missing");
    assert.equal(code, 1);
    assert.match(
      stderr,
      /there is no run missing in .*, and no bundle at that path\. Give --compare a finished run or scoring/,
    );
  });

  it("measures a scoring by the location of its output or by its id, once", async () => {
    const found = await result(first);
    assert.equal(found.figures.accuracy.value, 0.75);
    assert.deepEqual(found.figures.confusion, [
      [3, 1],
      [1, 3],
    ]);
    // The true classes have 0.9, 0.8, 0.7 and 0.4, either class the same.
    const loss = -(Math.log(0.9) + Math.log(0.8) + Math.log(0.7) + Math.log(0.4)) / 4;
    assert.ok(Math.abs((found.figures.logLoss?.value ?? 0) - loss) < 1e-12);
    assert.equal(found.reused, false);
    const written = await fileHashes(store);
    const again = await result("score-first");
    assert.deepEqual([again.reused, again.location], [true, found.location]);
    assert.deepEqual(await fileHashes(store), written);
    assert.match((await run(first)).stdout, /evaluated before: nothing was computed again/);
    const hash = sha256Hex("first").slice(0, 12);
    assert.match(found.location, new RegExp(`/store/evaluations/${hash}-[0-9a-f]{12}/[0-9a-f]{12}$`));
  });

  it("makes again what lacks a file", async () => {
    const { location } = await result(first);
    const page = join(fileURLToPath(location), "evaluation.html");
    const written = await fileHashes(store);
    await rm(page);
    assert.equal((await result(first)).reused, false);
    assert.deepEqual(await fileHashes(store), written);
  });

  it("has a result of its own for other labels, and counts those without an image", async () => {
    const csv = join(folder, "labels.csv");
    await writeFile(csv, "id,label\nglass/0.png,metal\n1,glass\ngone.png,glass\n");
    const ambiguous = await run(first, "--labels", csv);
    assert.match(ambiguous.stderr, /line 3: two images have the id "1"/);
    await writeFile(csv, "id,label\nglass/0.png,metal\nmetal/1.png,metal\ngone.png,glass\n");
    const found = await result(first, "--labels", "labels.csv");
    assert.equal(found.figures.images, 2);
    assert.equal(found.figures.accuracy.value, 0.5);
    assert.deepEqual(found.leftOut, { unlabelled: 6, otherLabels: [], notScored: 1 });
    assert.notEqual(found.location, (await result(first)).location);
  });

  it("ends with exit code 4 and a sentence if a figure misses its bound", async () => {
    const bounds = ["--fail-under", "accuracy=0.8", "--fail-under", "logLoss=0.1"];
    const { code, stdout } = await run(first, ...bounds, "--fail-under", "macroF1=0.5");
    assert.equal(code, 4);
    assert.match(
      stdout,
      /misses its bounds: accuracy is 0\.7500, not at least 0\.8; logLoss is 0\.4004, not at most 0\.1 \(exit/,
    );
    const kept = await run(first, "--fail-under", "accuracy=0.75", "--fail-under", "calibrationError=1");
    assert.equal(kept.code, 0);
  });

  it("refuses bounds that it does not know, or that are no numbers", async () => {
    const cases = [
      ["recall=0.9", /figures are accuracy, balancedAccuracy, macroF1, logLoss, calibrationError/],
      ["accuracy", /figures are accuracy/],
      ["accuracy=high", /Its bound is not a number/],
      ["accuracy=", /Its bound is not a number/],
      ["accuracy=90", /accuracy=90: it must be a number from 0 to 1/],
      ["logLoss=-1", /logLoss=-1: it must be a number from 0/],
    ] as const;
    for (const [bound, message] of cases) {
      const { code, stderr } = await run(first, "--fail-under", bound);
      assert.equal(code, 2, bound);
      assert.match(stderr, message);
    }
    const twice = await run(first, "--fail-under", "accuracy=0.5", "--fail-under", "accuracy=0.9");
    assert.match(twice.stderr, /accuracy has a bound already/);
  });

  it("refuses a bound on a log loss that the scores do not give", async () => {
    const location = `file://${join(folder, "likeliest")}`;
    await writeScores({ location, name: "likeliest", classes, rows, topK: 1, source: "file:///gone" });
    const { code, stderr } = await run(location, "--fail-under", "logLoss=0.5");
    assert.equal(code, 2);
    assert.match(stderr, /cannot check logLoss=0\.5: the scores hold the likeliest classes only/);
  });

  it("compares two scorings", async () => {
    const { comparison } = await result(first, "--compare", second);
    assert.deepEqual(
      [comparison?.bothRight, comparison?.onlyFirstRight, comparison?.onlySecondRight, comparison?.bothWrong],
      [3, 3, 1, 1],
    );
    // Two-sided binomial test of 1 in 4: 2 · (1 + 4) / 16.
    assert.equal(comparison?.test.pValue, 0.625);
    assert.equal(comparison?.difference.accuracy?.value, -0.25);
    const { stdout } = await run(first, "--compare", second);
    assert.match(stdout, /accuracy −0\.2500 \(−/);
    const verdict =
      "This model alone is right on 3 of the 8 images, the other alone on 1; if both erred equally often, a division at least so uneven would have probability 0.625 (McNemar's test). This model is better on these images, by 25.0 percentage points of accuracy, but that may be chance.";
    assert.ok(stdout.includes(verdict), stdout);
    const page = await readFile(fileURLToPath((await result(first, "--compare", second)).report), "utf8");
    assert.ok(page.includes(escapeHtml(verdict)));
    assert.match(page, /−25\.0 percentage points \(−/);
  });

  it("compares scores of one model with and without thresholds, and no scoring with itself", async () => {
    const { comparison, verdict } = await result(first, "--compare", strict);
    assert.equal(comparison?.onlyFirstRight, 1);
    assert.equal(comparison?.second.accuracy.value, 0.625);
    assert.equal(verdict?.other, `The other scoring of this model is file://${strict}`);
    assert.match(
      verdict?.sentences ?? "",
      /This scoring is better on these images, by 12\.5 percentage points/,
    );
    const same = await run(first, "--compare", "score-first");
    assert.match(same.stderr, /it is the same scoring\. Give another one/);
  });

  it("takes the folders within archives for labels, and compares scorings of archives and of manifests", async () => {
    const source = `file://${join(folder, "elsewhere")}`;
    const form = { keyColumn: null, labelColumn: null, imageColumn: null } as const;
    const manifest = { location: `${source}/list.csv`, hasPrefix: true, labelColumn: null, columns: [] };
    const written = async (name: string, keyOf: (key: string) => string, from: SourceForm) => {
      // As of "first" and "second": six of eight are right, and all metal alone.
      const others = rows.map(({ key }) => ({
        key: keyOf(key),
        probabilities: key.startsWith("glass") ? [0.4, 0.6] : [0.1, 0.9],
      }));
      const own = rows.map(({ key, probabilities }) => ({ key: keyOf(key), probabilities }));
      for (const [which, scores] of [
        ["one", own],
        ["two", others],
      ] as const) {
        const location = `file://${join(folder, `${name}-${which}`)}`;
        await writeScores({ location, name: `${name}-${which}`, classes, rows: scores, source, from });
      }
    };
    await written("tar", (key) => `photos.tar/${key}`, { type: "archives", object: "photos.tar", ...form });
    await written("tars", (key) => `a.b/photos.tar/${key}`, { type: "archives", object: null, ...form });
    await written("list", (key) => key, { type: "manifest", keyColumn: "key", ...manifest });
    for (const name of ["tar", "tars", "list"]) {
      const { figures, comparison } = await result(`${name}-one`, "--compare", `${name}-two`);
      assert.equal(figures.images, 8, name);
      assert.equal(figures.accuracy.value, 0.75, name);
      assert.equal(comparison?.onlyFirstRight, 3, name);
    }
    const { code, stderr } = await run("tar-one", "--compare", "list-two");
    assert.equal(code, 1);
    assert.match(
      stderr,
      /no key is the same in both: "glass\/0\.png" is one of file:.*list-two, and "photos\.tar\/glass\/0\.png" one of these scores\. Compare with a scoring of the same prefix/,
    );
  });

  it("takes no part of a whole location for a label", async () => {
    const location = `file://${join(folder, "located")}`;
    const located = rows.map((one) => ({ ...one, key: `s3://bucket/${one.key}` }));
    await writeScores({ location, name: "located", classes, rows: located, source: "s3://bucket" });
    const { code, stderr } = await run("located");
    assert.equal(code, 1);
    assert.match(stderr, /Left out: 8 scored images without a label\. Give the labels with --labels/);
  });

  it("says how many classes a message leaves out", async () => {
    const location = `file://${join(folder, "many")}`;
    const many = Array.from({ length: 40 }, (_, i) => `class ${i + 1}`);
    const [probabilities, source] = [many.map(() => 1 / 40), "file:///x"];
    await writeScores({
      location,
      ...{ name: "many", classes: many, rows: [{ key: "glass/1.png", probabilities }], source },
    });
    const { stderr } = await run("many");
    assert.match(stderr, /\(class 1, class 2, class 3, class 4, class 5, … and 35 more\)/);
  });

  it("copies its files to a place that may have them", async () => {
    const output = join(folder, "copied");
    const { location, output: named } = await result(first, "--output", output);
    assert.equal(named, `file://${output}`);
    assert.match((await run(first, "--output", output)).stdout, /copied to: file:.*\/copied$/m);
    assert.equal((await result(first)).output, null);
    const copied = await fileHashes(output);
    assert.deepEqual([...copied.keys()].sort(), ["evaluation.html", "evaluation.json", "evaluation.jsonl"]);
    const own = await fileHashes(fileURLToPath(location));
    for (const [name, hash] of copied) assert.equal(own.get(name), hash);
    const spaced = await run(first, "--output", "two words");
    assert.match(spaced.stdout, new RegExp(`copied to: ${folder}/two words$`, "m"));
    const { code, stderr } = await run(first, "--output", join(store, "runs"));
    assert.equal(code, 2);
    assert.match(stderr, /inside the folder runs\//);
  });

  it("refuses a table of which no id is an image before it scores, with what the ids have in common", async () => {
    const images = join(folder, "images-of-a-table");
    await mkdir(join(images, "glass"), { recursive: true });
    for (const name of ["1.png", "2.png"]) await writeFile(join(images, "glass", name), "not even looked at");
    const model = fileURLToPath(
      new URL("../../../../stores/2026-11-28/bucket/store/runs/first/bundle", import.meta.url),
    );
    await writeFile(join(folder, "others.csv"), "id,label\n./glass/1.png,glass\n./glass/2.png,glass\n");
    const before = await fileHashes(store);
    const refused = await run(images, "--model", model, "--labels", "others.csv");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /none of its 2 ids, such as "\.\/glass\/1\.png", is of an image/);
    assert.match(refused.stderr, /2 ids are keys with "\.\/" in front, such as .*Remove "\.\/"/);
    assert.deepEqual(await fileHashes(store), before);
    await writeFile(join(folder, "others.csv"), "id,label\nelsewhere.png,glass\n");
    const scored = await run(first, "--labels", "others.csv");
    assert.equal(scored.code, 1);
    assert.match(
      scored.stderr,
      /its one id, "elsewhere\.png", is of no image\. Give the labels of these images/,
    );
  });

  it("refuses images before it scores them if the model knows no label of theirs", async () => {
    const images = join(folder, "images-of-others");
    await mkdir(join(images, "wood"), { recursive: true });
    await writeFile(join(images, "wood", "1.png"), "not even looked at");
    const model = fileURLToPath(
      new URL("../../../../stores/2026-11-28/bucket/store/runs/first/bundle", import.meta.url),
    );
    const before = await fileHashes(store);
    const { code, stderr } = await run(images, "--model", model);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /no image has a label that the model knows \(it knows glass, metal, paper; the labels are "wood"\)\. Give the labels/,
    );
    assert.deepEqual(await fileHashes(store), before);
    const otherModel = await run(first, "--model", model);
    assert.equal(otherModel.code, 2);
    assert.match(otherModel.stderr, /they are of file:\/\/\/models\/first\. Leave --model out/);
  });

  it("refuses what it cannot measure, with what to do", async () => {
    const empty = join(folder, "empty");
    await mkdir(empty);
    const unfinished = join(folder, "unfinished");
    await writeScores({
      location: `file://${unfinished}`,
      name: "unfinished",
      classes,
      rows,
      source: "file:///x",
    });
    await rm(join(unfinished, "_SUCCESS.json"));
    const columns = ["--id-column", "file"];
    const cases: readonly (readonly [string[], number, RegExp])[] = [
      [[empty], 2, /no scoring is there, and no model is named.*Give a --model/],
      [[first, "--compare", first], 2, /it is the same scoring\. Give another one/],
      [[first, "--compare", "nobody"], 1, /cannot open the model/],
      [[first, ...columns], 2, /cannot use --id-column, --label-column, .* without --labels/],
      [[unfinished], 1, /has no _SUCCESS\.json/],
      [[first, "--labels", "nothing.csv"], 1, /no such file/],
    ];
    for (const [args, expected, message] of cases) {
      const { code, stderr } = await run(args[0] ?? "", ...args.slice(1));
      assert.equal(code, expected, `${args.join(" ")}: ${stderr}`);
      assert.match(stderr, message);
    }
  });
});
