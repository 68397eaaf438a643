import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { TrommelError } from "@trommel/common";
import { binsOfEqualMass, calibrationError } from "#gpu-worker/measure/calibration-error";
import { figures } from "#gpu-worker/measure/figures";
import { applyTemperature } from "#gpu-worker/measure/softmax";
import { drawnPredictions } from "../../../support/runs/drawn-predictions.js";

interface FiguresGolden {
  readonly classes: number;
  readonly logits: number[];
  readonly labels: number[];
  readonly accuracy: number;
  readonly balancedAccuracy: number;
  readonly macroF1: number;
  readonly logLoss: number;
  readonly precision: (number | null)[];
  readonly recall: (number | null)[];
  readonly support: number[];
  readonly confusion: number[][];
  readonly reliability: [number, number, number][];
  readonly expectedCalibrationError: number;
}

const goldenFile = new URL("../../../../golden/measure/figures.json", import.meta.url);

describe("figures", () => {
  it("are those of scikit-learn and numpy", () => {
    const { cases } = JSON.parse(readFileSync(goldenFile, "utf8")) as { cases: FiguresGolden[] };
    assert.ok(cases.length > 0);
    for (const golden of cases) {
      const probabilities = applyTemperature(Float64Array.from(golden.logits), golden.classes);
      const found = figures(probabilities, Int32Array.from(golden.labels), golden.classes);
      for (const name of ["accuracy", "balancedAccuracy", "macroF1", "logLoss"] as const)
        close(found[name], golden[name], name);
      close(found.expectedCalibrationError, golden.expectedCalibrationError, "calibration error");
      assert.equal(found.images, golden.labels.length);
      assert.deepEqual(found.confusion, golden.confusion);
      assert.deepEqual(
        found.perClass.map(({ support }) => support),
        golden.support,
      );
      for (const [index, rates] of found.perClass.entries()) {
        close(rates.precision, golden.precision[index] ?? null, `precision ${index}`);
        close(rates.recall, golden.recall[index] ?? null, `recall ${index}`);
      }
      assert.equal(found.reliability.length, golden.reliability.length);
      for (const [index, bin] of found.reliability.entries()) {
        const [confidence, accuracy, count] = golden.reliability[index] as [number, number, number];
        close(bin.confidence, confidence, "confidence");
        close(bin.accuracy, accuracy, "accuracy of a bin");
        assert.equal(bin.count, count);
      }
    }
  });

  it("clip a probability of zero", () => {
    close(figures(Float64Array.of(1, 0), Int32Array.of(1), 2).logLoss, -Math.log(1e-15), "log loss");
  });

  it("are the same whatever the order of classes", () => {
    const { logits, labels } = drawnPredictions({ seed: 4, rows: 300, classes: 5, folds: 2 });
    const order = [3, 0, 4, 1, 2];
    const probabilities = applyTemperature(logits, 5);
    const moved = Float64Array.from(probabilities, (_, i) => {
      return probabilities[i - (i % 5) + (order[i % 5] as number)] as number;
    });
    const one = figures(probabilities, labels, 5);
    const other = figures(
      moved,
      labels.map((label) => order.indexOf(label)),
      5,
    );
    for (const name of [
      "accuracy",
      "balancedAccuracy",
      "macroF1",
      "logLoss",
      "expectedCalibrationError",
    ] as const)
      close(other[name], one[name], name);
    assert.deepEqual(
      other.perClass,
      order.map((index) => one.perClass[index]),
    );
  });

  it("refuse no images, sizes that do not fit, labels outside the classes and scores that are not finite", () => {
    const fails = (probabilities: number[], labels: number[], code: string) => {
      assert.throws(
        () => figures(Float64Array.from(probabilities), Int32Array.from(labels), 2),
        (thrown: unknown) => thrown instanceof TrommelError && thrown.code === code,
      );
    };
    fails([], [], "bad-dataset");
    fails([1, 0, 0], [0], "internal");
    fails([1, 0], [2], "internal");
    fails([NaN, 0], [0], "internal");
  });
});

describe("binsOfEqualMass", () => {
  it("counts a row of weight w as w rows", () => {
    const rows = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.boolean(), fc.nat(4)), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(
      fc.property(rows, (drawn) => {
        const repeated = drawn.flatMap((row) => Array.from({ length: row[2] }, () => row));
        if (repeated.length === 0) return;
        const parts = (of: typeof drawn) =>
          [
            Float64Array.from(of, ([confidence]) => confidence / 10),
            of.map(([, hit]) => Number(hit)),
          ] as const;
        const weighted = binsOfEqualMass(
          ...parts(drawn),
          Float64Array.from(drawn, ([, , weight]) => weight),
        );
        const expected = binsOfEqualMass(...parts(repeated));
        assert.deepEqual(
          weighted.map(({ count }) => count),
          expected.map(({ count }) => count),
        );
        close(calibrationError(weighted), calibrationError(expected), "calibration error");
      }),
    );
  });

  it("divides the rows into bins that differ by one row at most, of rising confidence", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1 }), (drawn) => {
        const bins = binsOfEqualMass(Float64Array.from(drawn), drawn.map(Math.round));
        const counts = bins.map(({ count }) => count);
        assert.equal(
          counts.reduce((sum, count) => sum + count, 0),
          drawn.length,
        );
        assert.ok(Math.max(...counts) - Math.min(...counts) <= 1);
        for (const [index, bin] of bins.slice(1).entries())
          assert.ok(bin.confidence >= (bins[index]?.confidence ?? 0) - 1e-12);
      }),
    );
  });
});

function close(actual: number | null, expected: number | null, what: string): void {
  if (actual === null || expected === null) assert.equal(actual, expected, what);
  else assert.ok(Math.abs(actual - expected) < 1e-12, `${what}: ${actual}, expected ${expected}`);
}
