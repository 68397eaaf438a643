import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { headRecipe, SeededRandom, trainingRecipe, type HeadWeights } from "@trommel/common";
import { EpochApart } from "#gpu-worker/head/epoch-apart";
import { predictProbabilities } from "#gpu-worker/head/model/predict-head";
import { trainHead } from "#gpu-worker/head/train-head";
import { toyProblem } from "../../../support/runs/toy-problem.js";

describe("an epoch chosen apart", () => {
  const labels = Int32Array.from([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
  const features = Float32Array.from(labels.keys());

  const training = { keep: "accuracy", labelSmoothing: 0 } as const;

  it("is chosen by rows of other groups, and measured on its own", () => {
    // Dealt in turn, row 6 would be in the part of row 1; its group is in the part of row 0.
    const groupOf = Int32Array.from(labels.keys());
    groupOf[6] = 0;
    const apart = new EpochApart({ validation: { features, labels }, groupOf, classCount: 2, training });
    // Epoch e is wrong about row e alone.
    for (let epoch = 0; epoch <= 6; epoch += 1) {
      for (const start of [0, 4]) {
        const rows = start === 0 ? [0, 1, 2, 3] : [4, 5, 6, 7, 8, 9];
        apart.validated(
          start,
          Float32Array.from(
            rows.flatMap((row) => certain((labels[row] as number) ^ (row === epoch ? 1 : 0))),
          ),
        );
      }
      apart.epochEnded(epoch, () => ({}));
    }
    // The rows outside of a part are right in the epochs that err in it alone; of equal epochs the later one is kept.
    assert.deepEqual(
      apart.chosen.map(({ epoch }) => epoch),
      [6, 1, 2, 3, 4],
    );
    for (const { figures } of apart.chosen) assert.equal(figures.validationAccuracy, 1);
  });

  it("gives each row what the epoch of its part gives", () => {
    const kernel = (value: number): HeadWeights => ({
      "output.kernel": { shape: [1, 2], data: Float32Array.of(value, 0) },
      "output.bias": { shape: [2], data: new Float32Array(2) },
    });
    const head = headRecipe.parse({ type: "linear" });
    const figures = { validationAccuracy: 1, validationLoss: 0 };
    const chosen = [0, 1, 2, 3, 4].map((part) => ({ epoch: part + 1, figures, weights: kernel(part / 10) }));
    const apart = new EpochApart({ validation: { features, labels }, classCount: 2, training, chosen });
    const found = apart.probabilities(head);
    for (const row of labels.keys()) {
      const expected = 1 / (1 + Math.exp((-(row % 5) / 10) * row));
      assert.ok(Math.abs((found[2 * row] as number) - expected) < 1e-6, `row ${row}`);
    }
  });

  it("is none if all rows are copies of one", () => {
    const groupOf = new Int32Array(labels.length);
    const apart = new EpochApart({ validation: { features, labels }, groupOf, classCount: 2, training });
    apart.validated(0, Float32Array.from([...labels].flatMap(certain)));
    apart.epochEnded(1, () => ({}));
    assert.deepEqual(apart.chosen, []);
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

/** Log-probabilities of two classes. */
const certain = (label: number): number[] => (label === 0 ? [-1e-6, -14] : [-14, -1e-6]);

function noise(count: number, random: SeededRandom) {
  return {
    features: Float32Array.from({ length: count * 4 }, () => random.unit() - 0.5),
    labels: Int32Array.from({ length: count }, () => (random.unit() < 0.5 ? 0 : 1)),
  };
}
