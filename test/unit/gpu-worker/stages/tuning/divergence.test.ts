import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tuneRecipe } from "#common/recipe/tune-recipe";
import { divergence } from "#gpu-worker/stages/tuning/divergence";

const run = {
  config: { id: "x" },
  tune: tuneRecipe.parse({ optimizer: { type: "sgd", learningRate: 30 } }),
  rounds: {
    ...{ images: 64, batchSize: 8, replicas: 1, epochs: 2, stepsPerEpoch: 8, localSteps: 4 },
    ...{ roundsPerEpoch: 2, rounds: 4 },
  },
} as unknown as Parameters<typeof divergence>[0];

describe("a loss that is not finite", () => {
  it("says where, and what to lower", () => {
    const lower =
      "Lower tune.optimizer.learningRate, which is 30, warm up for longer (tune.schedule.warmupEpochs), or bound the gradients with tune.clipNorm, under another id";
    const { code, retryable, message } = divergence(run, { round: 3, step: 5 });
    assert.deepEqual([code, retryable], ["invalid-argument", false]);
    assert.equal(message, `cannot tune x: the loss of step 6 of epoch 2, in round 4 is not finite. ${lower}`);
    assert.match(
      divergence(run, { round: 0 }).message,
      /the loss on the held-out images after round 1 is not/,
    );
  });
});
