import type { TrainingRecipe } from "@trommel/common";
import { smoothedTargets } from "./cross-entropy.js";
import type { FactorLayer, FactorPlace } from "./dropout-factors.js";
import type { JoinedRows } from "./row-set.js";

/**
 * Bytes of rows, targets and factors that one run of steps is given: so much stays in a processor's caches between being
 * written and being read, and dozens of steps share the costs of a run.
 */
const runBytes = 4 * 2 ** 20;

/** Consecutive steps of the same number of rows, as the training graph takes them. */
export interface BatchRun {
  /** Of the epoch, from 0. */
  readonly firstStep: number;
  readonly steps: number;
  /** Of each step. */
  readonly rows: number;
  /** [steps, rows, features] */
  readonly features: Float32Array;
  /** [steps · rows] */
  readonly labels: Int32Array;
  /** [steps, rows, classes] */
  readonly targets: Float32Array;
  /** By place, [steps, rows, width]. */
  readonly factors: ReadonlyMap<FactorPlace, Float32Array>;
}

export interface BatchRunSetting {
  readonly training: Pick<TrainingRecipe, "batchSize" | "labelSmoothing">;
  readonly featureCount: number;
  readonly classCount: number;
}

/** An epoch's batches in order, some dozens to a run; where the last batch is smaller, it is a run of its own. */
export function* batchRuns(
  setting: BatchRunSetting,
  rows: JoinedRows,
  order: Int32Array,
  layers: readonly FactorLayer[],
): Generator<BatchRun> {
  const { featureCount, classCount, training } = setting;
  const { batchSize, labelSmoothing } = training;
  const width = layers.reduce((sum, layer) => sum + layer.width, featureCount + classCount);
  const stepsAtMost = Math.max(1, Math.floor(runBytes / (4 * width * batchSize)));
  const wholeSteps = Math.floor(order.length / batchSize);
  for (let step = 0; step * batchSize < order.length; ) {
    const whole = step < wholeSteps;
    const steps = whole ? Math.min(stepsAtMost, wholeSteps - step) : 1;
    const batch = whole ? batchSize : order.length - step * batchSize;
    const from = step * batchSize;
    const { features, labels } = rows.gather(order.subarray(from, from + steps * batch));
    const targets = smoothedTargets(labels, classCount, labelSmoothing);
    const factors = drawFactors(layers, steps, batch);
    yield { firstStep: step, steps, rows: batch, features, labels, targets, factors };
    step += steps;
  }
}

/** The layers share one generator, which serves them in turn, step by step. */
function drawFactors(
  layers: readonly FactorLayer[],
  steps: number,
  rows: number,
): Map<FactorPlace, Float32Array> {
  const factors = layers.map(({ width }) => new Float32Array(steps * rows * width));
  for (let step = 0; step < steps; step += 1) {
    for (const [index, { width, fill }] of layers.entries()) {
      fill((factors[index] as Float32Array).subarray(step * rows * width, (step + 1) * rows * width));
    }
  }
  return new Map(layers.map(({ place }, index) => [place, factors[index] as Float32Array]));
}
