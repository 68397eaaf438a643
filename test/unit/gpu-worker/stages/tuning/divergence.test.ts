import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runConfig } from "#common/artefacts/runs/run";
import { tuneRecipe } from "#common/recipe/tune-recipe";
import { refuseDivergence } from "#gpu-worker/stages/tuning/divergence";

const tune = tuneRecipe.parse({ optimizer: { type: "sgd", learningRate: 30 } });
const rounds = {
  ...{ images: 64, batchSize: 8, replicas: 1, epochs: 2, stepsPerEpoch: 8, localSteps: 4 },
  ...{ roundsPerEpoch: 2, rounds: 4 },
};
const hash = "a".repeat(64);
const config = runConfig.parse({
  ...{ formatVersion: 1, id: "x", dataset: "file:///photos", export: null, side: 32, fingerprint: hash },
  recipe: { backbones: ["net"], tune },
  labels: { classes: null, tableSha256: null },
  backbones: [{ id: "net@0123456789ab", hash, dimension: 5, inputSize: 32 }],
});
const run = { config, tune, rounds };

const lower =
  "Lower tune.optimizer.learningRate, which is 30, warm up for longer (tune.schedule.warmupEpochs), or bound the gradients with tune.clipNorm, under another id";

describe("a loss that has run away", () => {
  it("stops the run, and says where and what to lower", () => {
    for (const [loss, words] of [
      [NaN, "not finite"],
      [Infinity, "not finite"],
      [2.34e28, "2.3e+28"],
    ] as const)
      assert.throws(() => refuseDivergence(run, loss, { round: 3, step: 5 }), {
        ...{ code: "invalid-argument", retryable: false },
        message: `cannot tune x: the loss of step 6 of epoch 2, in round 4 is ${words}. ${lower}`,
      });
    assert.throws(() => refuseDivergence(run, NaN, { round: 0 }), {
      message: /the loss on the held-out images after round 1 is not finite/,
    });
  });

  it("is none of those that learning comes back from", () => {
    for (const loss of [0, 2.3, 900]) assert.doesNotThrow(() => refuseDivergence(run, loss, { round: 0 }));
  });
});
