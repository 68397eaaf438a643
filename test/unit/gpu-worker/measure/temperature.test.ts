import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { applyTemperature, rowLosses } from "#gpu-worker/measure/softmax";
import {
  crossFittedTemperatures,
  fitTemperature,
  isTemperatureDetermined,
} from "#gpu-worker/measure/temperature";
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

  it("undoes what multiplied the logits to a thousandth with 1,500 images", () => {
    const { logits, labels } = drawnPredictions({ seed: 8, rows: 1500, classes: 6, folds: 2, skill: 3 });
    const lossAt = (of: Float64Array, t: number) =>
      rowLosses(applyTemperature(of, 6, t), labels, 6).reduce((sum, loss) => sum + loss, 0);
    for (const factor of [2.4, 3, 4]) {
      const scaled = logits.map((logit) => factor * logit);
      const temperature = fitTemperature(scaled, labels, 6);
      assert.ok(isTemperatureDetermined(scaled, labels, 6));
      // The minimum is within a thousandth where the loss is higher at two thousandths.
      for (const side of [0.998, 1.002])
        assert.ok(lossAt(scaled, side * temperature) > lossAt(scaled, temperature));
      // In losses, what the prior costs is below every digit that is shown.
      const near = [0.9995, 0.9998, 1, 1.0002, 1.0005].map((side) => lossAt(scaled, side * temperature));
      assert.ok((lossAt(scaled, temperature) - Math.min(...near)) / 1500 < 1e-6);
    }
  });

  it("stays finite where every answer is right: as sure as one error in about as many images would be", () => {
    for (const rows of [10, 200, 1500]) {
      for (const margin of [0.5, 4, 12]) {
        const logits = Float64Array.from({ length: 2 * rows }, (_, i) => (i % 2 === 0 ? margin : 0));
        const labels = new Int32Array(rows);
        const temperature = fitTemperature(logits, labels, 2);
        assert.ok(!isTemperatureDetermined(logits, labels, 2));
        // The derivative by 1/T: every image has the loss log(1 + exp(-margin / T)), and the prior is 1/T - log(1/T).
        const pull = (rows * margin) / (1 + Math.exp(margin / temperature));
        assert.ok(Math.abs(pull - (1 - temperature)) < 1e-6, `${rows} images, margin ${margin}`);
        assert.ok(temperature > 0.05 && temperature < 1);
      }
    }
  });

  it("is 1 where logits say nothing, and inside its bounds or at them where they are always wrong", () => {
    const right = Float64Array.of(2, 0, 0, 3);
    const wrong = fitTemperature(right, Int32Array.of(1, 0), 2);
    assert.ok(wrong > 1 && wrong < 20 && !isTemperatureDetermined(right, Int32Array.of(1, 0), 2));
    assert.equal(fitTemperature(Float64Array.of(5, 5, -1, -1), Int32Array.of(0, 1), 2), 1);
    assert.equal(fitTemperature(right, Int32Array.of(0, 1), 2, new Float64Array(2)), 1);
    const large = right.map((logit) => logit * 1e4);
    assert.equal(fitTemperature(large, Int32Array.of(0, 1), 2), 1);
    assert.equal(fitTemperature(large, Int32Array.of(1, 0), 2), 20);
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
