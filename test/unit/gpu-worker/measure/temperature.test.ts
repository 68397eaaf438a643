import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { applyTemperature, rowLosses } from "#gpu-worker/measure/softmax";
import { crossFittedTemperatures, fitTemperature } from "#gpu-worker/measure/temperature";
import { drawnPredictions } from "../../../support/runs/drawn-predictions.js";

interface TemperatureGolden {
  readonly classes: number;
  readonly folds: number;
  readonly logits: number[];
  readonly labels: number[];
  readonly foldOf: number[];
  readonly weights: number[];
  readonly temperature: number;
  readonly weightedTemperature: number;
  readonly crossFitted: number[];
}

const goldenFile = new URL("../../../../golden/measure/figures.json", import.meta.url);

describe("fitTemperature", () => {
  it("finds what scipy finds, weighted and for each fold from the others", () => {
    const { cases } = JSON.parse(readFileSync(goldenFile, "utf8")) as { cases: TemperatureGolden[] };
    assert.ok(cases.length > 0);
    for (const golden of cases) {
      const logits = Float64Array.from(golden.logits);
      const labels = Int32Array.from(golden.labels);
      const { classes, folds } = golden;
      close(fitTemperature(logits, labels, classes), golden.temperature);
      const weights = Float64Array.from(golden.weights);
      close(fitTemperature(logits, labels, classes, weights), golden.weightedTemperature);
      const crossFitted = crossFittedTemperatures(
        logits,
        labels,
        classes,
        Int32Array.from(golden.foldOf),
        folds,
      );
      assert.equal(crossFitted.length, folds);
      for (const [fold, temperature] of crossFitted.entries())
        close(temperature, golden.crossFitted[fold] as number);
    }
  });

  it("undoes what multiplied the logits, and leaves the loss higher on both sides", () => {
    const { logits, labels } = drawnPredictions({ seed: 8, rows: 500, classes: 4, folds: 2, skill: 2 });
    const temperature = fitTemperature(logits, labels, 4);
    const sharper = logits.map((logit) => 3 * logit);
    close(fitTemperature(sharper, labels, 4), 3 * temperature);
    const lossAt = (t: number) =>
      rowLosses(applyTemperature(logits, 4, t), labels, 4).reduce((sum, loss) => sum + loss, 0);
    for (const factor of [0.999, 1.001]) assert.ok(lossAt(factor * temperature) > lossAt(temperature));
  });

  it("stops at its bounds where logits are always right or always wrong, and is 1 where they say nothing", () => {
    const right = Float64Array.of(2, 0, 0, 3);
    assert.equal(fitTemperature(right, Int32Array.of(0, 1), 2), 0.05);
    assert.equal(fitTemperature(right, Int32Array.of(1, 0), 2), 20);
    assert.equal(fitTemperature(Float64Array.of(5, 5, -1, -1), Int32Array.of(0, 1), 2), 1);
    assert.equal(fitTemperature(right, Int32Array.of(0, 1), 2, new Float64Array(2)), 1);
    assert.equal(
      fitTemperature(
        right.map((logit) => logit * 1e4),
        Int32Array.of(0, 1),
        2,
      ),
      1,
    );
    assert.equal(
      fitTemperature(
        right.map((logit) => logit * 1e4),
        Int32Array.of(1, 0),
        2,
      ),
      20,
    );
  });

  it("applies one temperature a row", () => {
    const logits = Float64Array.of(1, 2, 1, 2);
    const both = applyTemperature(logits, 2, Float64Array.of(1, 4));
    assert.deepEqual(both.subarray(0, 2), applyTemperature(logits.subarray(0, 2), 2));
    assert.deepEqual(both.subarray(2), applyTemperature(logits.subarray(2), 2, 4));
  });
});

function close(actual: number, expected: number): void {
  assert.ok(Math.abs(actual / expected - 1) < 1e-6, `${actual}, expected ${expected}`);
}
