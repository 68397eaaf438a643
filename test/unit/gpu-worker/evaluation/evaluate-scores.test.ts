import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore, TrommelError } from "@trommel/common";
import {
  evaluationFiles,
  type EvaluatedFigures,
  type EvaluationRow,
  type ModelEvaluation,
} from "@trommel/common/artefacts";
import { jsonBytes } from "@trommel/common/codec";
import type { EvaluatedScores, EvaluateOptions } from "@trommel/common/worker-commands";
import { evaluateScores } from "#gpu-worker/evaluation/evaluate-scores";
import { fileHashes } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores, type WrittenRow } from "../../../support/runs/written-scores.js";

interface GoldenModel {
  readonly probabilities: number[][];
  readonly figures: {
    readonly accuracy: number;
    readonly balancedAccuracy: number;
    readonly macroF1: number;
    readonly logLoss: number;
    readonly precision: number[];
    readonly recall: number[];
    readonly support: number[];
    readonly confusion: number[][];
  };
}
interface Golden {
  readonly classes: string[];
  readonly labels: string[];
  readonly first: GoldenModel;
  readonly second: GoldenModel;
  readonly onlyFirstRight: number;
  readonly onlySecondRight: number;
  readonly pValue: number;
}

const goldenFile = new URL("../../../../golden/measure/evaluation.json", import.meta.url);
const golden = JSON.parse(await readFile(goldenFile, "utf8")) as Golden;
const folder = await temporaryFolder("evaluate-scores");
let scenes = 0;

const rowsOf = ({ probabilities }: GoldenModel): WrittenRow[] =>
  probabilities.map((row, i) => ({ key: `${golden.labels[i]}/${i}.png`, probabilities: row }));

interface Given {
  readonly rows?: readonly WrittenRow[];
  readonly second?: readonly WrittenRow[];
  readonly classes?: readonly string[];
  readonly secondClasses?: readonly string[];
  readonly failed?: readonly string[];
  readonly topK?: number;
  /** Labels by key. @default folders */
  readonly labels?: readonly (readonly [string, string])[];
}

/** Evaluates scores in a store of their own. */
async function evaluate(given: Given): Promise<{
  evaluation: ModelEvaluation;
  rows: EvaluationRow[];
  page: string;
  path: string;
  again: () => Promise<ModelEvaluation>;
}> {
  const path = join(folder, `scene-${(scenes += 1)}`);
  const source = `file://${path}/images`;
  const scores = async (name: string, rows: readonly WrittenRow[], classes: readonly string[]) => {
    const { failed, topK } = given;
    const more = { ...(failed && { failed }), ...(topK && { topK }) };
    const { id: _, ...written } = await writeScores({
      ...{ location: `file://${path}/${name}`, name, classes, rows, source, ...more },
    });
    return written satisfies EvaluatedScores;
  };
  const classes = given.classes ?? golden.classes;
  const options: EvaluateOptions = {
    storeUrl: `file://${path}/store`,
    folder: "evaluations/a/b",
    source,
    scores: await scores("first", given.rows ?? rowsOf(golden.first), classes),
    compared:
      given.second === undefined
        ? null
        : await scores("second", given.second, given.secondClasses ?? classes),
    labelTable: given.labels !== undefined,
    unmatchedLabels: 0,
  };
  const store = openStore(options.storeUrl);
  const table = { formatVersion: 1, labels: given.labels };
  if (given.labels !== undefined)
    await store.put(`${options.folder}/${evaluationFiles.labels}`, jsonBytes(table));
  store.close();
  const run = (): Promise<ModelEvaluation> => evaluateScores(options, new AbortController().signal);
  const evaluation = await run();
  const read = (name: string): Promise<string> => readFile(join(path, "store", options.folder, name), "utf8");
  const lines = (await read(evaluationFiles.rows)).split("\n").filter((line) => line !== "");
  return {
    evaluation,
    rows: lines.map((line) => JSON.parse(line) as EvaluationRow),
    page: await read(evaluationFiles.report),
    path: join(path, "store"),
    again: run,
  };
}

function assertFigures(found: EvaluatedFigures, { figures }: GoldenModel): void {
  const near = (a: number | undefined, b: number | undefined): void =>
    assert.ok(Math.abs((a ?? Number.NaN) - (b ?? Number.NaN)) < 1e-12, `${a} is not ${b}`);
  near(found.accuracy.value, figures.accuracy);
  near(found.balancedAccuracy.value, figures.balancedAccuracy);
  near(found.macroF1.value, figures.macroF1);
  near(found.logLoss?.value, figures.logLoss);
  for (const [i, { support, precision, recall }] of found.perClass.entries()) {
    assert.equal(support, figures.support[i]);
    near(precision?.value, figures.precision[i]);
    near(recall?.value, figures.recall[i]);
  }
  assert.deepEqual(found.confusion, figures.confusion);
}

describe("an evaluation", () => {
  it("has the figures that scikit-learn finds, each inside its interval", async () => {
    const { evaluation, rows } = await evaluate({});
    assertFigures(evaluation.figures, golden.first);
    const { accuracy, balancedAccuracy, macroF1, logLoss } = evaluation.figures;
    for (const found of [accuracy, balancedAccuracy, macroF1, logLoss])
      assert.ok(found !== null && found.low < found.value && found.value < found.high);
    assert.equal(rows.length, golden.labels.length);
    for (const [i, row] of rows.entries()) {
      const own = golden.first.probabilities[i] ?? [];
      assert.equal(row.label, golden.labels[i]);
      assert.equal(row.probabilityOfLabel, own[golden.classes.indexOf(row.label)]);
      assert.equal(row.probability, Math.max(...own));
      assert.equal(row.correct, row.predicted === row.label);
    }
  });

  it("compares a second model by McNemar's test, as SciPy does", async () => {
    const { evaluation, rows } = await evaluate({ second: rowsOf(golden.second) });
    const { comparison } = evaluation;
    assert.ok(comparison !== null);
    assertFigures(comparison.first, golden.first);
    assertFigures(comparison.second, golden.second);
    assert.equal(comparison.onlyFirstRight, golden.onlyFirstRight);
    assert.equal(comparison.onlySecondRight, golden.onlySecondRight);
    assert.ok(Math.abs(comparison.test.pValue - golden.pValue) < 1e-12);
    const difference = golden.second.figures.accuracy - golden.first.figures.accuracy;
    const found = comparison.difference.accuracy;
    assert.ok(found !== null && Math.abs(found.value - difference) < 1e-12);
    assert.ok(found.low < difference && difference < found.high);
    assert.equal(comparison.changed.length, golden.onlyFirstRight + golden.onlySecondRight);
    assert.equal(
      rows.filter(({ correct, other }) => other?.correct !== correct).length,
      comparison.changed.length,
    );
  });

  it("compares on the images that both have scored, and names classes as the first does", async () => {
    const [a, b] = ["e\u0301tain", "\u00e9tain"];
    const of = (name: string, keys: string[]): Given["rows"] =>
      keys.map((key) => ({ key, probabilities: name === a ? [0.9, 0.1] : [0.1, 0.9] }));
    const { evaluation, rows } = await evaluate({
      classes: [a, "zinc"],
      rows: of(a, ["x", "y"]) ?? [],
      second: of(b, ["y", "z"]) ?? [],
      secondClasses: ["zinc", b],
      labels: [
        ["x", b],
        ["y", b],
      ],
    });
    assert.equal(evaluation.figures.images, 2);
    assert.equal(evaluation.figures.accuracy.value, 1);
    assert.equal(evaluation.comparison?.first.images, 1);
    assert.equal(evaluation.comparison?.second.accuracy.value, 1);
    assert.deepEqual(
      rows.map(({ other }) => other?.predicted),
      [undefined, a],
    );
  });

  it("leaves out what it cannot measure, counts it, and says so in a sentence", async () => {
    const first = (key: string): WrittenRow => ({ key, probabilities: [0.8, 0.1, 0.1] });
    const { evaluation, page } = await evaluate({
      rows: ["glass/a", "loose.png", "wood/a", "wood/b", "stone/a"].map(first),
      failed: ["glass/broken.png", "broken.png"],
    });
    assert.equal(evaluation.figures.images, 1);
    assert.deepEqual(evaluation.leftOut, {
      unlabelled: 1,
      otherLabels: [
        { label: "wood", images: 2 },
        { label: "stone", images: 1 },
      ],
      notScored: 1,
    });
    const sentence =
      'Left out: 1 scored image without a label; 3 images of labels that the model does not know ("wood" 2, "stone" 1); 1 labelled image without a score.';
    assert.equal(evaluation.notes[0], sentence);
    assert.ok(page.includes("1 scored image without a label"));
  });

  it("counts labels of a table that no row has", async () => {
    const labels = [
      ["glass/0.png", "glass"],
      ["other.png", "metal"],
    ] as const;
    const { evaluation } = await evaluate({
      rows: [{ key: "glass/0.png", probabilities: [0, 1, 0] }],
      labels,
    });
    assert.equal(evaluation.leftOut.notScored, 1);
    assert.equal(evaluation.figures.accuracy.value, 0);
  });

  it("is refused without a labelled image", async () => {
    await assert.rejects(
      evaluate({ rows: [{ key: "wood/a", probabilities: [1, 0, 0] }] }),
      (thrown) =>
        thrown instanceof TrommelError &&
        thrown.code === "bad-dataset" &&
        /no scored image has a label that the model knows \(glass, metal, paper\).*"wood" 1/.test(
          thrown.message,
        ),
    );
  });

  it("gives what the likeliest classes alone allow, and says which figure it cannot", async () => {
    const { evaluation, page } = await evaluate({ topK: 1 });
    const { figures } = evaluation;
    assert.equal(figures.logLoss, null);
    assert.ok(Math.abs(figures.accuracy.value - golden.first.figures.accuracy) < 1e-12);
    const whole = (await evaluate({})).evaluation.figures;
    assert.deepEqual(figures.expectedCalibrationError, whole.expectedCalibrationError);
    const wrong = golden.labels.length * (1 - golden.first.figures.accuracy);
    const note = evaluation.notes.find((text) => text.startsWith("Log loss is not given"));
    assert.match(note ?? "", new RegExp(`those of ${Math.round(wrong)} images .* --top 3`));
    assert.ok(!page.includes("NaN"));
  });

  it("takes an image that the model calls unknown for wrong, and counts it apart", async () => {
    const rows = rowsOf(golden.first).map((row, i) => (i < 6 ? { ...row, label: "unknown" } : row));
    const { evaluation, page } = await evaluate({ rows });
    const right = golden.first.probabilities.filter(
      (row, i) => i >= 6 && golden.classes[row.indexOf(Math.max(...row))] === golden.labels[i],
    ).length;
    assert.equal(evaluation.unknown, 6);
    assert.ok(Math.abs(evaluation.figures.accuracy.value - right / golden.labels.length) < 1e-12);
    assert.deepEqual(evaluation.labels, [...golden.classes, "unknown"]);
    assert.equal(evaluation.figures.perClass.length, 3);
    assert.ok(Math.abs((evaluation.figures.logLoss?.value ?? 0) - golden.first.figures.logLoss) < 1e-12);
    assert.ok(evaluation.mistakes.every(({ predicted }) => predicted !== "unknown"));
    assert.match(
      evaluation.notes.join(" "),
      /called 6 images unknown, which count as wrong; of the other 54.*Log loss and calibration error ignore/,
    );
    assert.match(page, /called unknown \(6\) are not shown here/);
  });

  it("writes the same twice", async () => {
    const { evaluation, path, again } = await evaluate({ second: rowsOf(golden.second) });
    const before = await fileHashes(path);
    assert.deepEqual(await again(), evaluation);
    assert.deepEqual(await fileHashes(path), before);
  });

  it("escapes every name in its page", async () => {
    const hostile = `<script>"&'`;
    const { page } = await evaluate({
      classes: [hostile, "zinc"],
      rows: [
        { key: `${hostile}1`, probabilities: [0.2, 0.8] },
        { key: `${hostile}2`, probabilities: [0.8, 0.2] },
      ],
      second: [{ key: `${hostile}1`, probabilities: [0.9, 0.1] }],
      labels: [
        [`${hostile}1`, hostile],
        [`${hostile}2`, hostile],
      ],
    });
    assert.ok(!page.includes("<script>"));
    assert.ok(page.includes("&#60;script&#62;"));
    assert.match(page, /<h2>The other model<\/h2>/);
  });
});
