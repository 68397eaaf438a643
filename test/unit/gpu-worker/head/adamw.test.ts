import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { headRecipe, type HeadWeights, type StepOptimizerRecipe } from "@trommel/common";
import { createCompiledLearner } from "#gpu-worker/head/compiled/compiled-learner";
import { JoinedRows } from "#gpu-worker/head/model/row-set";
import { createSchedule } from "#gpu-worker/head/schedule";
import { createTfjsLearner } from "#gpu-worker/head/tfjs/tfjs-learner";
import { parseSteps } from "../../../support/runs/step-training.js";

type ListedWeights = Readonly<Record<string, { readonly shape: number[]; readonly data: number[] }>>;

interface AdamWGolden {
  readonly hidden: number[];
  readonly activation: string;
  readonly classes: number;
  readonly labelSmoothing: number;
  readonly steps: number;
  readonly features: number[];
  readonly labels: number[];
  readonly start: ListedWeights;
  readonly cases: readonly {
    readonly optimizer: StepOptimizerRecipe;
    readonly losses: number[];
    readonly end: ListedWeights;
  }[];
}

const golden = JSON.parse(
  readFileSync(new URL("../../../../golden/adamw.json", import.meta.url), "utf8"),
) as AdamWGolden;

describe("AdamW", () => {
  for (const [engine, createLearner] of [
    ["onnx", createCompiledLearner],
    ["tfjs", createTfjsLearner],
  ] as const) {
    for (const { optimizer, losses, end } of golden.cases) {
      it(`trains a perceptron as PyTorch's does: ${engine}, ${JSON.stringify(optimizer)}`, async () => {
        const { hidden, activation, classes, labelSmoothing, steps } = golden;
        const labels = Int32Array.from(golden.labels);
        const features = Float32Array.from(golden.features);
        const head = headRecipe.parse({ type: "mlp", hidden, activation, dropout: 0 });
        const training = parseSteps({
          epochs: steps,
          batchSize: labels.length,
          labelSmoothing,
          optimizer,
          schedule: { type: "constant" },
        });
        const featureCount = features.length / labels.length;
        const learner = await createLearner(
          { head, training, featureCount, classCount: classes, seed: 0, threads: 1 },
          { weights: asWeights(golden.start) },
          new JoinedRows([{ features, labels }], featureCount),
        );
        const schedule = createSchedule(training.schedule, optimizer.learningRate, steps);
        for (let epoch = 1; epoch <= steps; epoch += 1) {
          const { trainLoss } = await learner.trainEpoch(epoch, schedule);
          close(trainLoss, losses[epoch - 1]);
        }
        const found = learner.snapshot();
        for (const [name, { data }] of Object.entries(end)) {
          for (const [i, value] of data.entries()) close(found[name]?.data[i], value);
        }
        await learner.release();
      });
    }
  }
});

function asWeights(listed: ListedWeights): HeadWeights {
  return Object.fromEntries(
    Object.entries(listed).map(([name, { shape, data }]) => [name, { shape, data: Float32Array.from(data) }]),
  );
}

function close(actual: number | undefined, expected: number | undefined): void {
  const difference = Math.abs((actual ?? Number.NaN) - (expected ?? Number.NaN));
  assert.ok(difference < 2e-6, `${actual} is not ${expected}`);
}
