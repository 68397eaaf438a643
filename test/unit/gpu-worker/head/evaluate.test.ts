import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { TrommelError, evaluation } from "@trommel/common";
import { evaluate } from "#gpu-worker/head/model/evaluate";

interface EvaluationGolden {
  readonly se: { readonly probabilities: number[] };
  readonly evaluation: { readonly labels: number[]; readonly logLoss: number; readonly accuracy: number };
}

const goldenFile = new URL("../../../../golden/head.json", import.meta.url);

describe("evaluate", () => {
  it("counts by hand: a class never predicted, a class without rows, a tie", () => {
    // Predicted: 0, 0, 1, 0 (the tie goes to the first), 0; class 2 is never predicted, class 3 has no row.
    const probabilities = Float32Array.of(
      ...[0.7, 0.1, 0.1, 0.1],
      ...[0.5, 0.25, 0.25, 0],
      ...[0.125, 0.75, 0.125, 0],
      ...[0.5, 0.5, 0, 0],
      ...[1, 0, 0, 0],
    );
    const result = evaluate(probabilities, Int32Array.of(0, 2, 1, 1, 0), ["glass", "paper", "trash", "none"]);
    assert.doesNotThrow(() => evaluation.parse(result));
    assert.deepEqual(result.confusion, [
      [2, 0, 0, 0],
      [1, 1, 0, 0],
      [1, 0, 0, 0],
      [0, 0, 0, 0],
    ]);
    assert.equal(result.accuracy, 0.6);
    assert.deepEqual(result.perClass, [
      { label: "glass", support: 2, precision: 0.5, recall: 1, f1: 2 / 3 },
      { label: "paper", support: 2, precision: 1, recall: 0.5, f1: 2 / 3 },
      { label: "trash", support: 1, precision: null, recall: 0, f1: 0 },
      { label: "none", support: 0, precision: null, recall: null, f1: 0 },
    ]);
    assert.ok(Math.abs(result.macroF1 - 4 / 9) < 1e-12);
    const expected = -(Math.log(0.7) + Math.log(0.25) + Math.log(0.75) + Math.log(0.5) + Math.log(1)) / 5;
    assert.ok(Math.abs(result.logLoss - expected) < 1e-6);
  });

  it("clips a probability of zero", () => {
    const { logLoss } = evaluate(Float32Array.of(1, 0), Int32Array.of(1), ["a", "b"]);
    assert.ok(Math.abs(logLoss + Math.log(1e-15)) < 1e-9);
  });

  it("gives numpy's log loss and accuracy", () => {
    const golden = JSON.parse(readFileSync(goldenFile, "utf8")) as EvaluationGolden;
    const labels = Int32Array.from(golden.evaluation.labels);
    const result = evaluate(Float32Array.from(golden.se.probabilities), labels, ["a", "b", "c", "d"]);
    assert.ok(Math.abs(result.logLoss - golden.evaluation.logLoss) < 1e-6);
    assert.equal(result.accuracy, golden.evaluation.accuracy);
  });

  it("refuses no rows, sizes that do not fit and labels outside the classes", () => {
    const fails = (probabilities: number[], labels: number[], code: string) => {
      assert.throws(
        () => evaluate(Float32Array.from(probabilities), Int32Array.from(labels), ["a", "b"]),
        (thrown: unknown) => thrown instanceof TrommelError && thrown.code === code,
      );
    };
    fails([], [], "bad-dataset");
    fails([1, 0, 0], [0], "internal");
    fails([1, 0], [2], "internal");
  });
});
