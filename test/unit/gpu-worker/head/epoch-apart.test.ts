import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { headRecipe, trainingRecipe, type HeadWeights } from "@trommel/common";
import { EpochApart } from "#gpu-worker/head/epoch-apart";
import type { HeadLearner } from "#gpu-worker/head/head-learner";
import { predictProbabilities } from "#gpu-worker/head/model/predict-head";
import { trainHead } from "#gpu-worker/head/train-head";
import { SeededRandom } from "@trommel/common";
import { toyProblem } from "../../../support/runs/toy-problem.js";

describe("an epoch chosen apart", () => {
  const labels = Int32Array.from([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
  const features = Float32Array.from(labels.keys());

  it("is measured on rows that had no say in it", async () => {
    // The row's number is its feature, so the learner knows whom it validates; epoch e is the best for all but row e.
    const seen: number[][] = [];
    let epoch = 0;
    const learner = {
      validate: ({ features: rows }: { features: Float32Array }) => {
        seen.push([...rows]);
        const hits = [...rows].filter((row) => row !== epoch).length;
        return Promise.resolve({ validationAccuracy: hits / rows.length, validationLoss: 1 });
      },
    } as unknown as HeadLearner;
    const apart = new EpochApart({ features, labels }, "accuracy");
    for (epoch = 0; epoch < 3; epoch += 1) await apart.epochEnded(epoch, learner, () => ({}));
    for (const rows of seen) assert.equal(rows.length, 8);
    // A part is two rows, one of each class, and every row is in one part.
    const parts = seen.slice(0, 5).map((rows) => [...features].filter((row) => !rows.includes(row)));
    assert.deepEqual(
      parts.flat().sort((a, b) => a - b),
      [...features],
    );
    for (const part of parts)
      assert.deepEqual(
        part.map((row) => labels[row]),
        [0, 1],
      );
    // Of equal epochs the later one is kept; only the part of row 2 has nothing against the last.
    for (const [part, { epoch: kept }] of apart.chosen.entries()) {
      const inPart = (row: number): boolean => parts[part]?.includes(row) === true;
      const perfect = [0, 1, 2].filter(inPart);
      assert.equal(kept, perfect.at(-1) ?? 2);
    }
  });

  it("gives each row what the epoch of its part gives", () => {
    const kernel = (value: number): HeadWeights => ({
      "output.kernel": { shape: [1, 2], data: Float32Array.of(value, 0) },
      "output.bias": { shape: [2], data: new Float32Array(2) },
    });
    const head = headRecipe.parse({ type: "linear" });
    const figures = { validationAccuracy: 1, validationLoss: 0 };
    const chosen = [0, 1, 2, 3, 4].map((part) => ({ epoch: part + 1, figures, weights: kernel(part / 10) }));
    const found = new EpochApart({ features, labels }, "loss", chosen).probabilities(head, {
      features,
      labels,
    });
    for (const row of labels.keys()) {
      const expected = 1 / (1 + Math.exp((-(row % 5) / 10) * row));
      assert.ok(Math.abs((found[2 * row] as number) - expected) < 1e-6, `row ${row}`);
    }
  });

  it("does not flatter where the labels are chance, and the chosen epoch does", async () => {
    const means = { chosen: 0, apart: 0 };
    const [seeds, rows] = [10, 60];
    for (let seed = 1; seed <= seeds; seed += 1) {
      const random = new SeededRandom(seed);
      const validation = noise(rows, random);
      const head = headRecipe.parse({ type: "linear" });
      const optimizer = { type: "sgd", learningRate: 0.5 };
      const training = trainingRecipe.parse({ epochs: 60, optimizer, batchSize: 10 });
      const train = noise(rows, random);
      const found = await trainHead({ train, validation, classCount: 2, seed, head, training });
      const accuracyOf = (probabilities: Float32Array): number =>
        [...validation.labels].filter((label, row) => (probabilities[2 * row + label] as number) > 0.5)
          .length / rows;
      means.chosen +=
        accuracyOf(predictProbabilities(head, found.measuredWeights, validation.features, rows)) / seeds;
      means.apart += accuracyOf(found.apart ?? new Float32Array()) / seeds;
    }
    // The standard error of an accuracy on 600 rows is 0.02.
    assert.ok(Math.abs(means.apart - 0.5) < 0.05, JSON.stringify(means));
    assert.ok(means.chosen > means.apart + 0.03, JSON.stringify(means));
  });

  it("is none where nothing is chosen", async () => {
    const inputs = toyProblem(headRecipe.parse({ type: "linear" }));
    const training = trainingRecipe.parse({ epochs: 2, keep: "last" });
    assert.equal((await trainHead({ ...inputs, training })).apart, null);
  });
});

function noise(count: number, random: SeededRandom) {
  return {
    features: Float32Array.from({ length: count * 4 }, () => random.unit() - 0.5),
    labels: Int32Array.from({ length: count }, () => (random.unit() < 0.5 ? 0 : 1)),
  };
}
