import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import {
  SeededRandom,
  trainingRecipe,
  type StepOptimizerRecipe,
  type ScheduleRecipe,
  type TrainingRecipe,
} from "@trommel/common";
import { createOptimizer } from "#gpu-worker/head/tfjs/optimizers";
import { keepsLater } from "#gpu-worker/head/keep-rule";
import type { OptimizerState } from "#gpu-worker/head/head-learner";
import { createSchedule, type Schedule } from "#gpu-worker/head/schedule";
import { parseSteps } from "../../../support/runs/step-training.js";

interface TrainingGolden {
  readonly optimizers: {
    readonly start: number[];
    readonly gradients: number[][];
    readonly rates: number[];
    readonly cases: readonly { readonly recipe: Partial<StepOptimizerRecipe>; readonly end: number[] }[];
  };
  readonly schedules: {
    readonly learningRate: number;
    readonly epochs: number;
    readonly stepsPerEpoch: number;
    readonly cases: readonly { readonly recipe: Partial<ScheduleRecipe>; readonly rates: number[] }[];
  };
}

const goldenFile = new URL("../../../../golden/training.json", import.meta.url);
const golden = JSON.parse(readFileSync(goldenFile, "utf8")) as TrainingGolden;

describe("optimisers", () => {
  const { start, gradients, rates, cases } = golden.optimizers;

  for (const { recipe, end } of cases) {
    it(`step as PyTorch's or Keras's do: ${JSON.stringify(recipe)}`, () => {
      const weight = Float32Array.from(start);
      const optimizer = createOptimizer(optimizerOf(recipe));
      for (const [t, gradient] of gradients.entries()) {
        optimizer.apply(new Map([["w", weight]]), { w: Float32Array.from(gradient) }, rates[t] ?? 0);
      }
      assert.equal(optimizer.state.step, gradients.length);
      for (const [i, value] of end.entries()) {
        assert.ok(Math.abs((weight[i] ?? 9) - value) < 1e-6, `${weight[i]} is not ${value}`);
      }
    });
  }

  it("go on from a state as if they had not stopped", () => {
    const random = new SeededRandom(5);
    const draw = () => Float32Array.from({ length: 7 }, () => random.normal());
    for (const type of ["adam", "adamw", "nadam", "sgd"] as const) {
      const recipe = optimizerOf({ type, weightDecay: 0.01 });
      const names = ["kernel", "bias"];
      const weights = new Map(names.map((name) => [name, draw()]));
      const others = new Map([...weights].map(([name, data]) => [name, data.slice()]));
      const steps = Array.from({ length: 40 }, () => Object.fromEntries(names.map((name) => [name, draw()])));
      const undisturbed = createOptimizer(recipe);
      let stopping = createOptimizer(recipe);
      for (const [t, step] of steps.entries()) {
        undisturbed.apply(weights, step, 0.01);
        stopping.apply(others, step, 0.01);
        if (t % 13 === 12) stopping = createOptimizer(recipe, copyOf(stopping.state));
      }
      assert.deepEqual(others, weights);
    }
  });
});

describe("schedules", () => {
  const { learningRate, epochs, stepsPerEpoch, cases } = golden.schedules;

  for (const { recipe, rates } of cases) {
    it(`give the rates of the published build_lr: ${JSON.stringify(recipe)}`, () => {
      const schedule = createSchedule(scheduleOf(recipe, epochs), learningRate, epochs);
      const found = ratesOf(schedule, epochs, stepsPerEpoch);
      assert.equal(found.length, rates.length);
      for (const [i, rate] of rates.entries()) close(found[i] ?? 9, rate);
    });
  }

  it("warm up as the Huawei challenge's published Keras callback does, without its first step at a rate of 0", () => {
    const [learningRate, warmupEpochs, epochs, stepsPerEpoch] = [1e-4, 5, 30, 3];
    const [warmup, all] = [warmupEpochs * stepsPerEpoch, epochs * stepsPerEpoch];
    /** `cosine_decay_with_warmup` of github.com/wusaifei/garbage_classify. @param step from 0 */
    const published = (step: number): number =>
      step < warmup
        ? (learningRate / warmup) * step
        : 0.5 * learningRate * (1 + Math.cos((Math.PI * (step - warmup)) / (all - warmup)));
    const schedule = createSchedule(
      scheduleOf({ type: "cosine", warmupEpochs }, epochs),
      learningRate,
      epochs,
    );
    for (const [step, rate] of ratesOf(schedule, epochs, stepsPerEpoch).entries())
      close(rate, published(step < warmup ? step + 1 : step));
  });

  it("fall in the same way over the epochs however many steps these have", () => {
    for (const type of ["constant", "cosine", "square"] as const) {
      const recipe = scheduleOf({ type, warmupEpochs: 1 }, 5);
      const few = ratesOf(createSchedule(recipe, 0.1, 5), 5, 4);
      const many = ratesOf(createSchedule(recipe, 0.1, 5), 5, 8);
      // The first four steps warm up, each to the end of its step; from there on each looks at its beginning.
      for (const [i, rate] of few.entries()) close(many[i < 4 ? 2 * i + 1 : 2 * i] ?? 9, rate);
    }
  });

  it("cut a plateau's rate as Keras's ReduceLROnPlateau does, counting from the end of the warm-up", () => {
    const recipe = { type: "plateau", factor: 0.2, patience: 2, minimum: 0.005, warmupEpochs: 3 } as const;
    const schedule = createSchedule(recipe, 1, 100);
    const rate = (epoch: number, step: number) => schedule.learningRate({ epoch, step, stepsPerEpoch: 2 });
    const warm = [1, 2, 3].flatMap((epoch) => {
      const found = [rate(epoch, 0), rate(epoch, 1)];
      // The least losses of all: were they counted, no later one would be better.
      schedule.epochEnded(0.001);
      return found;
    });
    for (const [i, value] of warm.entries()) close(value, (i + 1) / 6);
    // By hand: 0.99995 is no improvement by more than 1e-4 on 1; a wait of two cuts; an improvement resets the wait.
    const steps: readonly (readonly [loss: number, rateAfter: number])[] = [
      [1, 1],
      [0.99995, 1],
      [0.9, 1],
      [0.95, 1],
      [0.9, 0.2],
      [0.91, 0.2],
      [0.8999, 0.04],
      [0.8998, 0.04],
      [0.9, 0.04],
      [0.9, 0.008],
      [0.9, 0.008],
      [0.9, 0.005],
      [0.9, 0.005],
      [0.9, 0.005],
    ];
    for (const [index, [loss, rateAfter]] of steps.entries()) {
      schedule.epochEnded(loss);
      close(rate(index + 5, 0), rateAfter);
      close(rate(index + 5, 1), rateAfter);
    }
  });

  it("refuse a warm-up that never ends and a rate that would rise", () => {
    const faults = (training: unknown) =>
      trainingRecipe.safeParse(training).error?.issues.map(({ path }) => path.join("."));
    const training = (schedule: Partial<ScheduleRecipe>) => ({
      epochs: 5,
      optimizer: { learningRate: 0.1 },
      schedule,
    });
    for (const type of ["plateau", "constant", "cosine", "square"] as const) {
      assert.deepEqual(faults(training({ type, warmupEpochs: 5 })), ["schedule.warmupEpochs"]);
      assert.equal(faults(training({ type, warmupEpochs: 4 })), undefined);
    }
    assert.deepEqual(faults(training({ type: "cosine", minimum: 0.2 })), ["schedule.minimum"]);
    assert.deepEqual(faults(training({ type: "square", minimum: 0.2 })), ["schedule.minimum"]);
    assert.equal(faults(training({ type: "square", minimum: 0.1 })), undefined);
  });
});

describe("the epoch to keep", () => {
  // accuracy, loss, balanced accuracy, macro F1
  const epochs: readonly (readonly [number, number, number, number])[] = [
    [0.5, 0.9, 0.7, 0.5],
    [0.8, 0.5, 0.7, 0.3],
    [0.7, 0.4, 0.6, 0.6],
    [0.8, 0.6, 0.4, 0.2],
    [0.6, 0.4, 0.5, 0.4],
    [0.7, 0.7, 0.6, 0.5],
  ];
  for (const [keep, expected] of [
    ["accuracy", 4],
    ["loss", 5],
    ["balancedAccuracy", 2],
    ["macroF1", 3],
    ["last", 6],
  ] as const satisfies readonly [TrainingRecipe["keep"], number][]) {
    it(`is by ${keep}, the later on a tie`, () => {
      const measured = epochs.map(([accuracy, loss, balancedAccuracy, macroF1], i) => ({
        epoch: i + 1,
        validationAccuracy: accuracy,
        validationLoss: loss,
        validationBalancedAccuracy: balancedAccuracy,
        validationMacroF1: macroF1,
      }));
      const best = measured.reduce((before, later) => (keepsLater(keep, later, before) ? later : before));
      assert.equal(best.epoch, expected);
    });
  }
});

function optimizerOf(recipe: Partial<StepOptimizerRecipe>): StepOptimizerRecipe {
  return parseSteps({ optimizer: recipe }).optimizer;
}

function scheduleOf(recipe: Partial<ScheduleRecipe>, epochs: number): ScheduleRecipe {
  return trainingRecipe.parse({ epochs, optimizer: { learningRate: 0.1 }, schedule: recipe }).schedule;
}

function ratesOf(schedule: Schedule, epochs: number, stepsPerEpoch: number): number[] {
  return Array.from({ length: epochs * stepsPerEpoch }, (_, i) => {
    const epoch = Math.floor(i / stepsPerEpoch) + 1;
    return schedule.learningRate({ epoch, step: i % stepsPerEpoch, stepsPerEpoch });
  });
}

function copyOf({ step, moments }: OptimizerState): OptimizerState {
  return { step, moments: new Map([...moments].map(([name, data]) => [name, data.slice()])) };
}

function close(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-12, `${actual} is not ${expected}`);
}
