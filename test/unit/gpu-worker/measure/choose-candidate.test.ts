import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chooseCandidate } from "#gpu-worker/measure/choice/choose-candidate";
import { costOf, standardErrorOfDifference, type Criterion } from "#gpu-worker/measure/choice/criterion";
import { predictedClasses } from "#gpu-worker/measure/classes";
import { numberGroups } from "#gpu-worker/measure/groups";
import { figures } from "#gpu-worker/measure/figures";
import { applyTemperature, rowLosses } from "#gpu-worker/measure/softmax";
import { crossFittedTemperatures } from "#gpu-worker/measure/temperature";
import { drawnPredictions } from "../../../support/runs/drawn-predictions.js";

const criteria: readonly Criterion[] = ["logLoss", "balancedAccuracy", "macroF1"];

describe("chooseCandidate", () => {
  it("measures log loss with temperatures fitted on the other folds, and its error by the paired differences", () => {
    const { labels, foldOf, logits } = drawnPredictions({
      seed: 1,
      rows: 90,
      classes: 3,
      folds: 3,
      skill: 2,
    });
    const other = drawnPredictions({ seed: 2, rows: 90, classes: 3, folds: 3 }).logits;
    const weaker = logits.map((logit, i) => 4 * logit + 2 * (other[i] as number));
    const lossesOf = (scores: Float64Array) => {
      const temperatures = crossFittedTemperatures(scores, labels, 3, foldOf, 3);
      const ofRows = Float64Array.from(foldOf, (fold) => temperatures[fold] as number);
      return rowLosses(applyTemperature(scores, 3, ofRows), labels, 3);
    };
    const [worse, better] = [lossesOf(weaker), lossesOf(logits)];
    const differences = worse.map((loss, row) => loss - (better[row] as number));
    const behind = mean(differences);
    const variance = mean(differences.map((value) => (value - behind) ** 2)) * (90 / 89);
    const choice = chooseCandidate({ candidates: [weaker, logits], labels, classCount: 3, foldOf, folds: 3 });
    assert.equal(choice.best, 1);
    close(choice.candidates[0]?.value, mean(worse), 1e-9);
    close(choice.candidates[1]?.value, mean(better), 1e-9);
    close(choice.candidates[0]?.behind, behind, 1e-9);
    close(choice.candidates[0]?.standardError, Math.sqrt(variance / 90), 1e-9);
    assert.equal(choice.candidates[1]?.behind, 0);
    assert.equal(choice.chosen, behind <= Math.sqrt(variance / 90) ? 0 : 1);
  });

  it("prefers the simplest that is at most one standard error behind the best, by each criterion", () => {
    const { labels, foldOf, logits } = drawnPredictions({
      seed: 3,
      rows: 400,
      classes: 4,
      folds: 5,
      skill: 2,
    });
    const noise = drawnPredictions({ seed: 4, rows: 400, classes: 4, folds: 5, skill: 0 }).logits;
    const blurred = (share: number) => logits.map((logit, i) => logit + share * (noise[i] as number));
    const candidates = [blurred(3), blurred(0.02), logits, blurred(0.01)];
    for (const criterion of criteria) {
      const choice = chooseCandidate({ candidates, labels, classCount: 4, foldOf, folds: 5, criterion });
      const hopeless = choice.candidates[0];
      assert.ok(hopeless !== undefined && hopeless.behind > 3 * hopeless.standardError, criterion);
      assert.equal(choice.chosen, 1, criterion);
      if (criterion === "logLoss") continue;
      for (const [index, scores] of candidates.entries()) {
        const found = figures(applyTemperature(scores, 4), labels, 4)[criterion];
        close(choice.candidates[index]?.value, found, 1e-12);
      }
    }
  });

  it("takes the best and only candidate, whatever the figures", () => {
    const labels = Int32Array.of(0);
    for (const criterion of criteria) {
      const choice = chooseCandidate({
        ...{ candidates: [Float64Array.of(1, 0)], labels, classCount: 2, criterion },
        ...{ foldOf: Int32Array.of(0), folds: 1 },
      });
      assert.equal(choice.chosen, 0);
    }
  });
});

describe("standardErrorOfDifference", () => {
  for (const criterion of criteria) {
    it(`is what leaving out one group after the other gives, by ${criterion}`, () => {
      const rows = 400;
      const { labels, logits } = drawnPredictions({ seed: 5, rows, classes: 4, folds: 2, skill: 2 });
      const other = drawnPredictions({ seed: 6, rows, classes: 4, folds: 2, skill: 0 }).logits;
      const scores = [logits, logits.map((logit, i) => logit + (other[i] as number))];
      const outcomes = scores.map((values) => {
        return {
          predicted: predictedClasses(values, 4),
          losses: rowLosses(applyTemperature(values, 4), labels, 4),
        };
      });
      const groups = numberGroups(
        rows,
        Int32Array.from({ length: rows }, (_, row) => Math.floor(row / 2)),
      );
      const [one, two] = outcomes as [(typeof outcomes)[0], (typeof outcomes)[0]];
      const costsOf = (weights?: Float64Array) => {
        const on = { labels, classCount: 4, groups, ...(weights && { weights }) };
        return [costOf(criterion, one, on), costOf(criterion, two, on)] as const;
      };
      const without = Float64Array.from({ length: groups.count }, (_, left) => {
        const [a, b] = costsOf(Float64Array.from(groups.of, (group) => (group === left ? 0 : 1)));
        return a.cost - b.cost;
      });
      const centre = mean(without);
      const jackknife = Math.sqrt((groups.count - 1) * mean(without.map((value) => (value - centre) ** 2)));
      const [a, b] = costsOf();
      const found = standardErrorOfDifference(a, b, { labels, classCount: 4, groups });
      assert.ok(Math.abs(found / jackknife - 1) < 0.02, `${found}, expected about ${jackknife}`);
    });
  }

  it("takes a drawn group as as many groups as it was drawn", () => {
    const { labels, logits } = drawnPredictions({ seed: 7, rows: 30, classes: 3, folds: 2 });
    const other = drawnPredictions({ seed: 8, rows: 30, classes: 3, folds: 2 }).logits;
    const groupOf = Int32Array.from(labels, (_, row) => Math.floor(row / 3));
    const weights = Float64Array.from(groupOf, (group) => group % 3);
    const copies = Array.from(groupOf, (group, row) =>
      Array.from({ length: group % 3 }, (_, copy) => ({ row, group: 100 * group + copy })),
    ).flat();
    const errorOf = (rows: readonly number[], groupNumbers: Int32Array, counts?: Float64Array) => {
      const of = (scores: Float64Array) => {
        const predicted = predictedClasses(scores, 3);
        return {
          predicted: Int32Array.from(rows, (row) => predicted[row] as number),
          losses: new Float64Array(),
        };
      };
      const on = {
        labels: Int32Array.from(rows, (row) => labels[row] as number),
        classCount: 3,
        groups: numberGroups(rows.length, groupNumbers),
        ...(counts && { weights: counts }),
      };
      return standardErrorOfDifference(
        costOf("macroF1", of(logits), on),
        costOf("macroF1", of(other), on),
        on,
      );
    };
    close(
      errorOf([...labels.keys()], groupOf, weights),
      errorOf(
        copies.map(({ row }) => row),
        Int32Array.from(copies, ({ group }) => group),
      ),
      1e-12,
    );
  });
});

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function close(actual: number | undefined, expected: number, tolerance: number): void {
  assert.ok(
    actual !== undefined && Math.abs(actual - expected) < tolerance,
    `${actual}, expected ${expected}`,
  );
}
