import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  bootstrapDifference,
  bootstrapFigures,
  intervalsOfDifference,
} from "#gpu-worker/measure/bootstrap/bootstrap-figures";
import { figures } from "#gpu-worker/measure/figures";
import { applyTemperature } from "#gpu-worker/measure/softmax";
import { drawnPredictions } from "../../../support/runs/drawn-predictions.js";

const scalars = ["accuracy", "balancedAccuracy", "macroF1", "logLoss", "expectedCalibrationError"] as const;

describe("bootstrapFigures", () => {
  const rows = 600;
  const { logits, labels } = drawnPredictions({ seed: 1, rows, classes: 3, folds: 2, skill: 1.5 });
  const probabilities = applyTemperature(logits, 3);
  const all = figures(probabilities, labels, 3);

  it("are as wide as the normal distribution gives for accuracy, recall and log loss", () => {
    const { intervals } = bootstrapFigures(probabilities, labels, 3, { seed: 2 });
    const halfWidth = (share: number, count: number) => 1.96 * Math.sqrt((share * (1 - share)) / count);
    near(intervals.accuracy, all.accuracy, halfWidth(all.accuracy, rows));
    for (const [index, { recall, support }] of all.perClass.entries()) {
      const interval = intervals.perClass[index]?.recall;
      assert.ok(interval && recall !== null);
      near(interval, recall, halfWidth(recall, support));
    }
    const losses = Array.from(labels, (label, row) => -Math.log(probabilities[3 * row + label] as number));
    const variance = losses.reduce((sum, loss) => sum + (loss - all.logLoss) ** 2, 0) / rows;
    near(intervals.logLoss, all.logLoss, 1.96 * Math.sqrt(variance / rows));
  });

  it("draws calibration errors around that of all images", () => {
    const { drawn } = bootstrapFigures(probabilities, labels, 3, { seed: 2, draws: 100 });
    const mean = drawn.expectedCalibrationError.reduce((sum, value) => sum + value, 0) / 100;
    assert.ok(Math.abs(mean - all.expectedCalibrationError) < 0.002);
  });

  it("has no interval for the recall of a class without images, nor for the precision of one never predicted", () => {
    const { intervals } = bootstrapFigures(
      Float64Array.of(0.8, 0.2, 0, 0.7, 0.3, 0),
      Int32Array.of(0, 1),
      3,
      { seed: 1, draws: 20 },
    );
    assert.equal(intervals.perClass[2]?.recall, null);
    assert.equal(intervals.perClass[1]?.precision, null);
  });
});

describe("bootstrapDifference", () => {
  it("is zero between a classifier and itself, and of one sign where one is better", () => {
    const { logits, labels } = drawnPredictions({ seed: 3, rows: 300, classes: 3, folds: 2, skill: 2 });
    const better = applyTemperature(logits, 3);
    const worse = applyTemperature(
      logits.map((logit, i) => (i % 3 === 0 ? logit + 1 : logit)),
      3,
    );
    const same = bootstrapDifference(better, better, labels, 3, { seed: 1, draws: 50 });
    for (const name of scalars) assert.deepEqual(same[name], [0, 0]);
    const other = bootstrapDifference(better, worse, labels, 3, { seed: 1, draws: 300 });
    assert.ok(other.logLoss[0] > 0);
    assert.ok(other.accuracy[1] < 0);
  });

  it("of the same images is narrower than of images drawn apart", () => {
    const { logits, labels } = drawnPredictions({ seed: 4, rows: 300, classes: 3, folds: 2, skill: 2 });
    const one = applyTemperature(logits, 3);
    const other = applyTemperature(
      logits.map((logit, i) => (i % 3 === 0 ? logit + 0.2 : logit)),
      3,
    );
    const paired = bootstrapDifference(one, other, labels, 3, { seed: 1, draws: 300 }).accuracy;
    const apart = intervalsOfDifference(
      bootstrapFigures(one, labels, 3, { seed: 1, draws: 300 }).drawn,
      bootstrapFigures(other, labels, 3, { seed: 2, draws: 300 }).drawn,
    ).accuracy;
    assert.ok(paired[1] - paired[0] < (apart[1] - apart[0]) / 2);
  });
});

function near([low, high]: readonly [number, number], centre: number, halfWidth: number): void {
  assert.ok(Math.abs((high - low) / 2 / halfWidth - 1) < 0.12, `${low} to ${high}, half ${halfWidth}`);
  assert.ok(Math.abs((high + low) / 2 - centre) < 0.15 * halfWidth, `${low} to ${high} around ${centre}`);
}
