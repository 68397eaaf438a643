import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { predictedClasses } from "#gpu-worker/measure/classes";
import { crossFittedThresholds, precisionThresholds } from "#gpu-worker/measure/precision-thresholds";
import { applyTemperature } from "#gpu-worker/measure/softmax";
import { drawnPredictions } from "../../../support/runs/drawn-predictions.js";

/** Two classes; the first number is the probability of class 0. */
const rows = (...first: number[]) => Float64Array.from(first.flatMap((value) => [value, 1 - value]));

describe("precisionThresholds", () => {
  it("finds the smallest probability that reaches the wish, equal ones together, by hand", () => {
    // Predicted 0: .9 right, .8 wrong, .8 right, .7 right, .6 wrong. Predicted 1: .7 wrong, .6 wrong.
    const probabilities = rows(0.9, 0.8, 0.8, 0.7, 0.6, 0.3, 0.4);
    const labels = Int32Array.of(0, 1, 0, 0, 1, 0, 0);
    assert.deepEqual(precisionThresholds(probabilities, labels, 2, 0.75), [0.7, null]);
    assert.deepEqual(precisionThresholds(probabilities, labels, 2, 0.7), [0.7, null]);
    assert.deepEqual(precisionThresholds(probabilities, labels, 2, 0.8), [0.9, null]);
    assert.deepEqual(precisionThresholds(probabilities, labels, 2, 0.6), [0.6, null]);
    assert.deepEqual(precisionThresholds(probabilities, labels, 2, 0), [0.6, 0.6]);
  });

  it("reaches the wish on the images it was fitted on, and no smaller probability does", () => {
    const wishes = fc.tuple(fc.nat(1000), fc.double({ min: 0.3, max: 1, noNaN: true }));
    fc.assert(
      fc.property(wishes, ([seed, wish]) => {
        const { logits, labels } = drawnPredictions({ seed, rows: 80, classes: 3, folds: 2 });
        const probabilities = applyTemperature(logits, 3).map((value) => Math.round(value * 20) / 20);
        const predicted = predictedClasses(probabilities, 3);
        const precisionFrom = (index: number, threshold: number) => {
          const accepted = [...labels.keys()].filter(
            (row) => predicted[row] === index && (probabilities[3 * row + index] as number) >= threshold,
          );
          const share = accepted.filter((row) => labels[row] === index).length / accepted.length;
          return accepted.length === 0 ? null : share;
        };
        for (const [index, found] of precisionThresholds(probabilities, labels, 3, wish).entries()) {
          const reaching = [...labels.keys()]
            .filter((row) => predicted[row] === index)
            .map((row) => probabilities[3 * row + index] as number)
            .filter((threshold) => (precisionFrom(index, threshold) ?? 0) >= wish);
          assert.equal(found, reaching.length === 0 ? null : Math.min(...reaching));
        }
      }),
    );
  });
});

describe("crossFittedThresholds", () => {
  it("applies to each fold the thresholds of the others, by hand", () => {
    // Fold 0: .9 right, .6 wrong. Fold 1: .8 right, .7 right. Wish 1: fold 0 alone gives .9, fold 1 alone gives .7.
    const found = crossFittedThresholds(
      rows(0.9, 0.6, 0.8, 0.7),
      Int32Array.of(0, 1, 0, 0),
      2,
      Int32Array.of(0, 0, 1, 1),
      2,
      1,
    );
    // Accepted in fold 0 from .7 on: .9. Accepted in fold 1 from .9 on: none.
    assert.deepEqual(found, [
      { threshold: 0.7, precision: 1, coverage: 0.25, accepted: 1 },
      { threshold: null, precision: null, coverage: null, accepted: 0 },
    ]);
  });

  it("comes near the wish on many images", () => {
    const { logits, labels, foldOf } = drawnPredictions({
      seed: 5,
      rows: 6000,
      classes: 3,
      folds: 5,
      skill: 2,
    });
    const found = crossFittedThresholds(applyTemperature(logits, 3), labels, 3, foldOf, 5, 0.95);
    for (const { threshold, precision, coverage } of found) {
      assert.ok(threshold !== null && precision !== null && coverage !== null);
      assert.ok(Math.abs(precision - 0.95) < 0.02);
      assert.ok(coverage > 0.2 && coverage < 1);
    }
  });
});

describe("thresholds that no probability reaches", () => {
  it("are null, for a class that is never right and for one that is never predicted", () => {
    // The first class is right at .9 alone, the second never.
    const found = crossFittedThresholds(
      rows(0.9, 0.9, 0.3, 0.2),
      Int32Array.of(0, 0, 0, 0),
      2,
      Int32Array.of(0, 1, 0, 1),
      2,
      0.99,
    );
    assert.deepEqual(
      found.map(({ threshold, accepted }) => [threshold, accepted]),
      [
        [0.9, 2],
        [null, 0],
      ],
    );
    assert.deepEqual(precisionThresholds(rows(0.9), Int32Array.of(0), 2, 0.5), [0.9, null]);
  });
});
