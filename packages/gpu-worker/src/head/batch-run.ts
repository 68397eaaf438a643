import type { TrainingRecipe } from "@trommel/common";
import { fillTargets } from "./cross-entropy.js";
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

/**
 * Cuts epochs into runs. All runs lie in the same memory, for the pages of fresh memory would cost as much as filling them:
 * a run is good until the next one is asked for.
 */
export class BatchRuns {
  readonly #setting: BatchRunSetting;
  readonly #stepsAtMost: number;
  readonly #features: Float32Array;
  readonly #labels: Int32Array;
  readonly #targets: Float32Array;
  readonly #factors: ReadonlyMap<FactorPlace, Float32Array>;

  /** @param layers where each epoch has factors; the numbers themselves come with the epoch */
  constructor(setting: BatchRunSetting, layers: readonly Pick<FactorLayer, "place" | "width">[]) {
    const { featureCount, classCount, training } = setting;
    const width = layers.reduce((sum, layer) => sum + layer.width, featureCount + classCount);
    this.#setting = setting;
    this.#stepsAtMost = Math.max(1, Math.floor(runBytes / (4 * width * training.batchSize)));
    const rows = this.#stepsAtMost * training.batchSize;
    this.#features = new Float32Array(rows * featureCount);
    this.#labels = new Int32Array(rows);
    this.#targets = new Float32Array(rows * classCount);
    this.#factors = new Map(layers.map(({ place, width }) => [place, new Float32Array(rows * width)]));
  }

  /** An epoch's batches in order, some dozens to a run; where the last batch is smaller, it is a run of its own. */
  *of(rows: JoinedRows, order: Int32Array, layers: readonly FactorLayer[]): Generator<BatchRun> {
    const { batchSize } = this.#setting.training;
    const wholeSteps = Math.floor(order.length / batchSize);
    for (let step = 0; step * batchSize < order.length;) {
      const whole = step < wholeSteps;
      const steps = whole ? Math.min(this.#stepsAtMost, wholeSteps - step) : 1;
      const batch = whole ? batchSize : order.length - step * batchSize;
      const from = step * batchSize;
      yield {
        firstStep: step,
        steps,
        rows: batch,
        ...this.#gather(rows, order.subarray(from, from + steps * batch)),
        factors: this.#draw(layers, steps, batch),
      };
      step += steps;
    }
  }

  #gather(rows: JoinedRows, chosen: Int32Array): Pick<BatchRun, "features" | "labels" | "targets"> {
    const { featureCount, classCount, training } = this.#setting;
    const features = this.#features.subarray(0, chosen.length * featureCount);
    const labels = this.#labels.subarray(0, chosen.length);
    const targets = this.#targets.subarray(0, chosen.length * classCount);
    rows.gatherInto(chosen, features, labels);
    fillTargets(targets, labels, classCount, training.labelSmoothing);
    return { features, labels, targets };
  }

  /** The layers share one generator, which serves them in turn, step by step. */
  #draw(layers: readonly FactorLayer[], steps: number, rows: number): Map<FactorPlace, Float32Array> {
    const drawn = new Map<FactorPlace, Float32Array>();
    for (let step = 0; step < steps; step += 1) {
      for (const { place, width, fill } of layers) {
        const values = this.#factors.get(place) as Float32Array;
        fill(values.subarray(step * rows * width, (step + 1) * rows * width));
        drawn.set(place, values.subarray(0, steps * rows * width));
      }
    }
    return drawn;
  }
}
