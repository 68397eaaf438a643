import assert from "node:assert/strict";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { before, describe, it } from "node:test";
import { sha256Hex, type ScoreRow } from "@trommel/common";
import type { EvaluationRow } from "@trommel/common/artefacts";
import type { EvaluationResult } from "#trommel/api/evaluation/evaluation";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { tinyBackbone } from "../../support/models/tiny-backbone.js";
import { trommel, trommelJson } from "../../support/process/cli.js";
import { AutoRuns } from "../../support/runs/auto-runs.js";

/** `trommel evaluate` by the command line: what it scores, what it joins, and its figures counted again from the rows. */

const folder = await temporaryFolder("evaluate");
const evaluated = join(folder, "evaluated");
const csv = join(folder, "labels.csv");
let runs: AutoRuns;
let first: EvaluationResult;

const args = (source: string, ...more: string[]): string[] => [
  ...["evaluate", source, "--store", runs.store, ...more],
];
const evaluate = async (source: string, ...more: string[]): Promise<EvaluationResult> =>
  (await trommelJson([...args(source, ...more), "--json"])) as EvaluationResult;

async function train(run: string, epochs: string): Promise<void> {
  await trommelJson([
    ...["train", runs.dataset, "--backbone", tinyBackbone.name, "--run", run, "--store", runs.store],
    ...["--head", "linear", "--epochs", epochs, "--no-svd", "--workers", "1", "--json"],
  ]);
}

async function lines<T>(location: string, name: string): Promise<T[]> {
  const text = await readFile(join(fileURLToPath(location), name), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

before(async () => {
  runs = await AutoRuns.create(folder);
  await train("first", "5");
  await cp(runs.dataset, evaluated, { recursive: true });
  await cp(join(evaluated, "glass"), join(evaluated, "pottery"), { recursive: true });
  await cp(join(evaluated, "glass", "003.png"), join(evaluated, "loose.png"));
  first = await evaluate(evaluated, "--model", "first", "--workers", "1");
});

describe("trommel evaluate", () => {
  it("scores labelled images, and gives the figures that its rows come to", async () => {
    const rows = await lines<EvaluationRow>(first.location, "evaluation.jsonl");
    assert.equal(first.figures.images, 62);
    assert.equal(rows.length, 62);
    const right = rows.filter(({ label, predicted }) => label === predicted).length;
    assert.ok(Math.abs(first.figures.accuracy.value - right / 62) < 1e-12);
    const losses = rows.map(({ probabilityOfLabel }) => -Math.log(probabilityOfLabel ?? Number.NaN));
    const logLoss = losses.reduce((sum, loss) => sum + loss, 0) / 62;
    assert.ok(Math.abs((first.figures.logLoss?.value ?? Number.NaN) - logLoss) < 1e-9);
    assert.equal(first.reused, false);
    const { leftOut } = first;
    assert.equal(leftOut.unlabelled, 1);
    assert.deepEqual(
      leftOut.otherLabels.map(({ label }) => label),
      ["pottery"],
    );
    assert.equal(leftOut.notScored, 1);
  });

  it("computes nothing again, and says so", async () => {
    const again = await trommel(args(evaluated, "--model", "first"));
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /evaluated before: nothing was computed again/);
    assert.equal((await evaluate(evaluated, "--model", "first")).reused, true);
  });

  it("joins a scoring's output with a CSV file without reading a picture", async () => {
    const rows = await lines<EvaluationRow>(first.location, "evaluation.jsonl");
    const gone = join(folder, "gone");
    await cp(evaluated, gone, { recursive: true });
    const scores = join(folder, "scores");
    const { id } = (await trommelJson([
      ...["score", gone, "--model", "first", "--output", scores, "--store", runs.store],
      ...["--top", "3", "--workers", "1", "--json"],
    ])) as { id: string };
    await rm(gone, { recursive: true });
    const labelled = rows.map(({ key, label }) => `${key},${label}`);
    await writeFile(csv, ["file,class", ...labelled, "missing.png,glass", ""].join("\n"));
    const columns = ["--id-column", "file", "--label-column", "class"];
    const byId = await evaluate(id, "--labels", csv, ...columns);
    assert.deepEqual(byId.figures, first.figures);
    assert.equal(byId.leftOut.notScored, 1);
    assert.ok(byId.notes.some((note) => note.includes("1 labelled image without a score")));
    const byPlace = await evaluate(scores, "--labels", csv, ...columns, "--model", "first");
    assert.deepEqual([byPlace.reused, byPlace.location], [true, byId.location]);
  });

  it("ends with its own exit code when a figure misses its bound", async () => {
    const missed = await trommel(args(evaluated, "--model", "first", "--fail-under", "logLoss=0"));
    assert.equal(missed.code, 4, missed.stderr);
    assert.match(
      missed.stdout,
      /the model misses its bounds: logLoss is [\d.]+, not at most 0 \(exit code 4\)/,
    );
    const kept = await trommel(args(evaluated, "--model", "first", "--fail-under", "accuracy=0"));
    assert.equal(kept.code, 0);
  });

  it("compares two models on the same images", async () => {
    await train("second", "1");
    const output = join(folder, "compared");
    const more = ["--model", "first", "--compare", "second", "--workers", "1", "--output", output];
    const { comparison, location } = await evaluate(evaluated, ...more);
    assert.ok(comparison !== null);
    const rows = await lines<EvaluationRow>(location, "evaluation.jsonl");
    const own = await lines<ScoreRow>(comparison.scores, "part-00000.jsonl");
    const second = new Map(own.map(({ key, label }) => [key, label]));
    let [onlyFirst, onlySecond] = [0, 0];
    for (const { key, label, predicted, other } of rows) {
      assert.equal(other?.predicted, second.get(key));
      if (predicted === label && other?.predicted !== label) onlyFirst += 1;
      if (predicted !== label && other?.predicted === label) onlySecond += 1;
    }
    assert.deepEqual([comparison.onlyFirstRight, comparison.onlySecondRight], [onlyFirst, onlySecond]);
    assert.equal(comparison.changed.length, Math.min(50, onlyFirst + onlySecond));
    for (const name of ["evaluation.json", "evaluation.jsonl", "evaluation.html"]) {
      const copied = await readFile(join(output, name));
      assert.equal(sha256Hex(copied), sha256Hex(await readFile(join(fileURLToPath(location), name))));
    }
  });

  it("shows the worst mistakes with their pictures", async () => {
    const pictures = (page: string): number => page.match(/<img src="data:image\/webp/g)?.length ?? 0;
    const page = await readFile(fileURLToPath(first.report), "utf8");
    assert.equal(pictures(page), first.mistakes.length);
    const wrong = Math.round(first.figures.images * (1 - first.figures.accuracy.value));
    assert.equal(first.mistakes.length, Math.min(24, wrong));
    assert.ok(!/(?:src|href)="(?!data:)/.test(page));
  });

  it("belongs to its scorings: what is left of it when they are removed is garbage", async () => {
    const { scorings } = await statusIds();
    for (const id of scorings)
      await trommelJson(["store", "remove", id, "--yes", "--store", runs.store, "--json"]);
    const found = (await trommelJson([
      ...["store", "gc", "--older-than", "0s", "--store", runs.store, "--json"],
    ])) as { byKind: Record<string, { objects: number }> };
    assert.equal(found.byKind["evaluations"], undefined);
  });
});

async function statusIds(): Promise<{ scorings: string[] }> {
  const { runs: listed } = (await trommelJson(["status", "--store", runs.store, "--json"])) as {
    runs: { id: string; kind: string }[];
  };
  return { scorings: listed.filter(({ kind }) => kind === "scoring").map(({ id }) => id) };
}
