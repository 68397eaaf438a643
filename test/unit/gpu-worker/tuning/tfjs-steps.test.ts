import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { StepOptimizerRecipe } from "@trommel/common";
import { blockSize } from "#gpu-worker/tuning/engine/block-size";
import { createCompiledTuner } from "#gpu-worker/tuning/engine/compiled-tuner";
import { createTfjsTuner } from "#gpu-worker/tuning/engine/tfjs-tuner";
import type { CreateTuner, TuningSetting, TuningState } from "#gpu-worker/tuning/engine/tuner";
import { smoothNetwork } from "../../../support/tuning/sketched-networks.js";
import { drawnBatch, largestDifference, settingOf, startOf } from "../../../support/tuning/tuning-steps.js";

const block = await blockSize();
const { sketch, dimension } = smoothNetwork;
const tolerance = 1e-4;
const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-6];

const optimizers: readonly StepOptimizerRecipe[] = [
  { type: "sgd", learningRate: 0.02, momentum: 0.9, nesterov: true, weightDecay: 1e-3 },
  { type: "adam", learningRate: 1e-3, beta1, beta2, epsilon, weightDecay: 1e-3 },
  { type: "adamw", learningRate: 1e-3, beta1, beta2, epsilon, weightDecay: 0.05 },
  { type: "nadam", learningRate: 1e-3, beta1, beta2, epsilon, scheduleDecay: 4e-3, weightDecay: 1e-3 },
];

/** Three rates, first layers and two in between that do not train, and everything else that a step can do. */
async function settingWith(optimizer: StepOptimizerRecipe): Promise<TuningSetting> {
  const setting = await settingOf(sketch(), {
    optimizer,
    ...{ clipNorm: 0.5, averageDecay: 0.8, hasDropout: true, hasMixup: true, statisticsMomentum: 0.2 },
  });
  const trained = [...setting.trained].filter((_, index) => index > 2 && index !== 5 && index !== 6);
  const rateFactors = new Map(trained.map((name, index) => [name, [0.25, 0.5, 1][index % 3] as number]));
  return { ...setting, trained: new Set(trained), rateFactors };
}

async function takeSteps(
  createTuner: CreateTuner,
  setting: TuningSetting,
  start: TuningState,
  steps: number,
): Promise<{ readonly state: TuningState; readonly losses: readonly number[] }> {
  const tuner = await createTuner(setting, start);
  const losses: number[] = [];
  try {
    for (let step = start.step; step < start.step + steps; step += 1) {
      const rate = setting.optimizer.learningRate * (1 - step / 20);
      const { loss } = await tuner.step(drawnBatch(setting, { seed: step % 3, dimension }), rate);
      losses.push(loss);
    }
    return { state: tuner.state(), losses };
  } finally {
    await tuner.release();
  }
}

const compiled =
  (blockOf: number): CreateTuner =>
  (setting, start) =>
    createCompiledTuner(setting, start, blockOf);

describe("ten steps of tuning", () => {
  for (const optimizer of optimizers) {
    describe(optimizer.type, () => {
      let setting: TuningSetting;
      let start: TuningState;
      let wanted: TuningState;
      let losses: readonly number[];

      before(async () => {
        setting = await settingWith(optimizer);
        start = startOf(setting, dimension);
        ({ state: wanted, losses } = await takeSteps(createTfjsTuner, setting, start, 10));
      });

      function assertSame(found: TuningState): void {
        assert.equal(found.step, 10);
        assert.deepEqual([...found.tensors.keys()], [...wanted.tensors.keys()]);
        const { name, difference } = largestDifference(found, wanted, { names: /^/, floor: 1e-6 });
        assert.ok(difference <= tolerance, `${name} is ${difference} apart`);
      }

      it("change every tensor of the state and lower the loss", () => {
        const moved = [...wanted.tensors].filter(([name, { data }]) => {
          const before = start.tensors.get(name)?.data as Float32Array;
          return data.some((value, index) => value !== before[index]);
        });
        assert.deepEqual(
          moved.map(([name]) => name),
          [...start.tensors.keys()],
        );
        assert.ok((losses[9] as number) < (losses[0] as number), `${losses.join(" ")}`);
      });

      it("end alike in plain ONNX and in TensorFlow.js", async () => {
        assertSame((await takeSteps(compiled(0), setting, start, 10)).state);
      });

      const skip = block === 0 && "this processor has no blocked layout";
      it("end alike in the blocked layout and in TensorFlow.js", { skip }, async () => {
        assertSame((await takeSteps(compiled(block), setting, start, 10)).state);
      });

      it("end with the same bytes when a checkpoint lies between", async () => {
        const half = await takeSteps(createTfjsTuner, setting, start, 5);
        assert.deepEqual((await takeSteps(createTfjsTuner, setting, half.state, 5)).state, wanted);
      });

      it("end alike when one engine continues the other's checkpoint", async () => {
        for (const [first, second] of [
          [compiled(0), createTfjsTuner],
          [createTfjsTuner, compiled(0)],
        ] as const) {
          const half = await takeSteps(first, setting, start, 5);
          assertSame((await takeSteps(second, setting, half.state, 5)).state);
        }
      });
    });
  }
});
