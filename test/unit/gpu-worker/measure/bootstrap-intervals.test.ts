import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom } from "@trommel/common";
import { bootstrapIntervals } from "#gpu-worker/measure/bootstrap/bootstrap-intervals";
import { drawCounts } from "#gpu-worker/measure/bootstrap/draw-counts";
import { LossCurves } from "#gpu-worker/measure/bootstrap/loss-curves";
import { quantile } from "#gpu-worker/measure/bootstrap/percentiles";
import { chooseCandidate } from "#gpu-worker/measure/choice/choose-candidate";
import type { Criterion } from "#gpu-worker/measure/choice/criterion";
import { figures, type Figures } from "#gpu-worker/measure/figures";
import { numberGroups } from "#gpu-worker/measure/groups";
import { applyTemperature, rowLosses } from "#gpu-worker/measure/softmax";
import { crossFittedTemperatures, temperaturePrior } from "#gpu-worker/measure/temperature";
import { drawnPredictions } from "../../../support/runs/drawn-predictions.js";

const flattered = ["accuracy", "balancedAccuracy", "macroF1", "logLoss"] as const;
const scalars = [...flattered, "expectedCalibrationError"] as const;

interface Problem {
  readonly candidates: Float64Array[];
  readonly labels: Int32Array;
  readonly classCount: number;
  readonly foldOf: Int32Array;
  readonly folds: number;
}

/** Candidates of about the same skill, whose errors are partly the same. */
function problem(seed: number, rows: number, count: number, skill: number): Problem {
  const shared = drawnPredictions({ seed, rows, classes: 3, folds: 4, skill });
  const candidates = Array.from({ length: count }, (_, index) => {
    const own = drawnPredictions({ seed: 1000 * seed + index, rows, classes: 3, folds: 4, skill: 0 }).logits;
    return shared.logits.map((logit, i) => 1.5 * (logit + 0.7 * (own[i] as number)));
  });
  return { candidates, labels: shared.labels, classCount: 3, foldOf: shared.foldOf, folds: 4 };
}

describe("bootstrapIntervals", () => {
  for (const criterion of ["logLoss", "balancedAccuracy", "macroF1"] as const) {
    it(`gives what drawing rows and choosing by ${criterion} without any shortcut gives`, () => {
      const input = problem(3, 80, 4, 1);
      const found = bootstrapIntervals({ ...input, draws: 60, seed: 5, criterion });
      const expected = withoutShortcuts(input, 60, 5, criterion);
      assert.equal(found.chosen, expected.chosen);
      assert.deepEqual(found.chosenInDraws, expected.chosenInDraws);
      assert.ok(found.chosenInDraws.filter((count) => count > 0).length > 1);
      for (const name of scalars) {
        const [low, high] = found.intervals[name];
        close(low, expected.intervals[name][0], 1e-4, `${name}, low`);
        close(high, expected.intervals[name][1], 1e-4, `${name}, high`);
      }
      for (const name of flattered)
        close(found.optimism[name], (expected.flattery[name] as number) / Math.SQRT2, 1e-4, name);
    });
  }

  it("contains 1/classes with random labels, each image four times, by whatever the candidates are chosen", () => {
    for (const criterion of ["logLoss", "balancedAccuracy"] as const) {
      let contained = 0;
      for (let seed = 1; seed <= 10; seed += 1) {
        const { candidates, labels, foldOf, ...rest } = problem(seed, 120, 6, 0);
        const { intervals } = bootstrapIntervals({
          ...rest,
          candidates: candidates.map((logits) => fourTimes(logits)),
          labels: fourTimes(labels),
          foldOf: fourTimes(foldOf),
          groupOf: fourTimes(Int32Array.from(labels.keys())),
          ...{ draws: 100, seed, criterion },
        });
        const [low, high] = intervals.balancedAccuracy;
        if (low <= 1 / 3 && 1 / 3 <= high) contained += 1;
      }
      assert.ok(contained >= 9, `${contained} of 10 by ${criterion}`);
    }
  });

  it("is the same with every image four times as one group", () => {
    const { candidates, labels, foldOf, ...rest } = problem(6, 100, 3, 1);
    const once = bootstrapIntervals({ ...rest, candidates, labels, foldOf, draws: 50, seed: 1 });
    const often = bootstrapIntervals({
      ...rest,
      candidates: candidates.map((logits) => fourTimes(logits)),
      labels: fourTimes(labels),
      foldOf: fourTimes(foldOf),
      groupOf: fourTimes(Int32Array.from(labels.keys())),
      ...{ draws: 50, seed: 1 },
    });
    assert.deepEqual(often.chosenInDraws, once.chosenInDraws);
    for (const name of flattered) {
      // The prior of a temperature weighs one image, whether there are 100 or 400.
      const tolerance = name === "logLoss" ? 1e-3 : 1e-9;
      close(often.intervals[name][0], once.intervals[name][0], tolerance, name);
      close(often.intervals[name][1], once.intervals[name][1], tolerance, name);
    }
  });

  it("is a function of its seed, and its candidates need not be more than one", () => {
    const input = { ...problem(7, 60, 1, 1), draws: 20 };
    const found = bootstrapIntervals({ ...input, seed: 1 });
    assert.deepEqual(bootstrapIntervals({ ...input, seed: 1 }), found);
    assert.notDeepEqual(bootstrapIntervals({ ...input, seed: 2 }).drawn, found.drawn);
    for (const name of flattered) assert.equal(found.optimism[name], 0);
  });

  it("draws from a sample of many groups, around the figures of all and as narrow as all", () => {
    const input = { ...problem(8, 3000, 2, 1), seed: 3, draws: 200 };
    const whole = bootstrapIntervals(input);
    const sampled = bootstrapIntervals({ ...input, mostGroups: 750 });
    for (const name of scalars) {
      const [low, high] = whole.intervals[name];
      const [sampledLow, sampledHigh] = sampled.intervals[name];
      close((sampledHigh - sampledLow) / (high - low), 1, 0.3, name);
      close((sampledHigh + sampledLow) / 2, (high + low) / 2, (high - low) / 4, name);
    }
  });
});

describe("LossCurves", () => {
  it("give the losses of the logits, and temperatures as good as theirs, also far from that of all images", () => {
    const random = new SeededRandom(2);
    for (const [rows, skill] of [
      [500, 2],
      [9, 1],
      [40, 30],
      [40, -30],
      [200, 0],
    ] as const) {
      const { candidates, labels, foldOf, folds } = problem(4, rows, 1, skill);
      const logits = candidates[0] as Float64Array;
      const curves = new LossCurves({ logits, labels, classCount: 3, foldOf, folds });
      const lossesAt = (temperature: number) =>
        rowLosses(applyTemperature(logits, 3, temperature), labels, 3);
      for (let draw = 0; draw < 20; draw += 1) {
        const weights = Float64Array.from({ length: rows }, () => (draw === 0 ? 0 : random.integer(3)));
        const expected = crossFittedTemperatures(logits, labels, 3, foldOf, folds, weights);
        for (const [fold, temperature] of curves.crossFitted(weights).entries()) {
          const others = weights.map((weight, row) => (foldOf[row] === fold ? 0 : weight));
          const meanAt = (t: number) =>
            lossesAt(t).reduce(
              (sum, loss, row) => sum + loss * (others[row] as number),
              temperaturePrior(t),
            ) / rows;
          close(meanAt(temperature), meanAt(expected[fold] as number), 1e-6, `mean, skill ${skill}`);
        }
        const exact = Array.from(expected, lossesAt);
        for (const [row, loss] of curves.losses(expected).entries())
          close(loss, exact[foldOf[row] as number]?.[row] ?? NaN, 1e-5, `loss, skill ${skill}`);
      }
    }
  });
});

describe("quantile", () => {
  it("is linear between order statistics, as numpy's", () => {
    const sorted = Float64Array.of(1, 2, 4, 8);
    for (const [share, expected] of [
      [0, 1],
      [0.5, 3],
      [0.9, 6.8],
      [1, 8],
    ] as const)
      close(quantile(sorted, share), expected, 1e-12, `${share}`);
  });
});

/** The same estimator with drawn rows written out, exact temperatures and `figures`. */
function withoutShortcuts(input: Problem, draws: number, seed: number, criterion: Criterion) {
  const { labels, foldOf, folds, candidates } = input;
  const take = (rows: readonly number[]): Problem => ({
    ...input,
    candidates: candidates.map((logits) =>
      Float64Array.from(rows.flatMap((row) => [...logits.subarray(3 * row, 3 * row + 3)])),
    ),
    labels: Int32Array.from(rows, (row) => labels[row] as number),
    foldOf: Int32Array.from(rows, (row) => foldOf[row] as number),
  });
  const temperaturesOf = (of: Problem, index: number) =>
    crossFittedTemperatures(of.candidates[index] as Float64Array, of.labels, 3, of.foldOf, folds);
  const measure = (of: Problem, index: number, temperatures: Float64Array) => {
    const ofRows = Float64Array.from(of.foldOf, (fold) => temperatures[fold] as number);
    return figures(applyTemperature(of.candidates[index] as Float64Array, 3, ofRows), of.labels, 3);
  };
  const chosen = chooseCandidate({ ...input, criterion }).chosen;
  const all = measure(input, chosen, temperaturesOf(input, chosen));
  const chosenInDraws = candidates.map(() => 0);
  const drawn: Figures[] = [];
  const flatteries: Record<string, number>[] = [];
  for (let draw = 0; draw < draws; draw += 1) {
    const counts = drawCounts(numberGroups(labels.length), seed, draw);
    const rows = [...counts.entries()].flatMap(([row, count]) => new Array<number>(count).fill(row));
    const inside = take(rows);
    const outside = take([...labels.keys()].filter((row) => counts[row] === 0));
    const index = chooseCandidate({ ...inside, criterion }).chosen;
    chosenInDraws[index] = (chosenInDraws[index] as number) + 1;
    drawn.push(measure(inside, index, temperaturesOf(inside, index)));
    const above = (which: number) => {
      const temperatures = temperaturesOf(inside, which);
      const [own, left] = [measure(inside, which, temperatures), measure(outside, which, temperatures)];
      return flattered.map((name) => own[name] - left[name]);
    };
    const [ofChoice, ofChance] = [above(index), above(chosen)];
    flatteries.push(
      Object.fromEntries(flattered.map((name, i) => [name, (ofChoice[i] ?? 0) - (ofChance[i] ?? 0)])),
    );
  }
  const average = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const flattery = Object.fromEntries(
    flattered.map((name) => [name, average(flatteries.map((of) => of[name] ?? 0))]),
  );
  const intervals = Object.fromEntries(
    scalars.map((name) => {
      const values = drawn.map((of) => of[name]);
      const by = name === "expectedCalibrationError" ? all[name] - average(values) : -(flattery[name] ?? 0);
      const sorted = Float64Array.from(values, (value) => Math.max(0, value + by)).sort();
      return [name, [quantile(sorted, 0.025), quantile(sorted, 0.975)]];
    }),
  ) as Record<(typeof scalars)[number], [number, number]>;
  return { chosen, chosenInDraws, flattery, intervals };
}

function fourTimes<T extends Float64Array | Int32Array>(values: T): T {
  const repeated = (values instanceof Float64Array
    ? new Float64Array(4 * values.length)
    : new Int32Array(4 * values.length)) as unknown as T;
  for (let copy = 0; copy < 4; copy += 1) repeated.set(values, copy * values.length);
  return repeated;
}

function close(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected}`);
}
