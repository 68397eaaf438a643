import type { HeadRecipe, TrainingRecipe } from "@trommel/common";
import { fillTargets } from "../model/cross-entropy.js";
import type { JoinedRows } from "../model/row-set.js";
import { NoiseGenerator } from "../noise/noise-generator.js";
import { epochOrder, inputNoiseSeed } from "./epoch-order.js";
import { drawMixture, mixInto } from "./mixup.js";

/** What an epoch's batches depend on besides rows and epoch. */
export interface BatchSetting {
  readonly head: HeadRecipe;
  readonly training: Pick<TrainingRecipe, "batchSize" | "labelSmoothing" | "mixup">;
  readonly featureCount: number;
  readonly classCount: number;
  readonly seed: number;
}

/** Memory for the rows of one or more batches; its beginning holds them. */
export interface BatchMemory {
  /** [rows, features] */
  readonly features: Float32Array;
  /** Of a mixed row the label of its larger share. */
  readonly labels: Int32Array;
  /** [rows, classes] */
  readonly targets: Float32Array;
}

/**
 * An epoch's batches in order, as both learners train on them: the rows of the epoch's order, mixed, with input dropout
 * applied to them, and their targets. All of it comes from (seed, epoch).
 */
export class EpochBatches {
  readonly #setting: BatchSetting;
  readonly #rows: JoinedRows;
  readonly #epoch: number;
  readonly #order: Int32Array;
  readonly #inputDropout: number;
  readonly #inputNoise: NoiseGenerator;
  #step = 0;
  #taken = 0;

  constructor(setting: BatchSetting, rows: JoinedRows, epoch: number) {
    this.#setting = setting;
    this.#rows = rows;
    this.#epoch = epoch;
    this.#order = epochOrder(setting.seed, epoch, rows.count);
    this.#inputDropout = inputDropoutOf(setting.head);
    this.#inputNoise = new NoiseGenerator(inputNoiseSeed(setting.seed, epoch));
  }

  /** Rows of the next batch: all but an epoch's last have the recipe's number. 0 after the last. */
  get rowsOfNext(): number {
    return Math.min(this.#setting.training.batchSize, this.rowsLeft);
  }

  /** Rows of the epoch that were not taken yet. */
  get rowsLeft(): number {
    return this.#order.length - this.#taken;
  }

  /** Writes the next batches, which must have the same number of rows. */
  take(steps: number, memory: BatchMemory): void {
    const { classCount, featureCount, training } = this.#setting;
    const count = steps * this.rowsOfNext;
    const features = memory.features.subarray(0, count * featureCount);
    const labels = memory.labels.subarray(0, count);
    const targets = memory.targets.subarray(0, count * classCount);
    if (training.mixup > 0) this.#takeMixed(steps, { features, labels, targets });
    else {
      this.#rows.gatherInto(this.#order.subarray(this.#taken, this.#taken + count), features, labels);
      fillTargets(targets, labels, classCount, training.labelSmoothing);
    }
    if (this.#inputDropout > 0) this.#inputNoise.applyMask(features, this.#inputDropout);
    this.#step += steps;
    this.#taken += count;
  }

  #takeMixed(steps: number, { features, labels, targets }: BatchMemory): void {
    const { classCount, featureCount, seed, training } = this.#setting;
    const rows = this.rowsOfNext;
    const value = { own: new Float32Array(classCount), other: new Float32Array(classCount) };
    const target = (into: Float32Array, label: number) =>
      fillTargets(into, Int32Array.of(label), classCount, training.labelSmoothing);
    for (let step = 0; step < steps; step += 1) {
      const at = { epoch: this.#epoch, step: this.#step + step, rows };
      const { share, partners } = drawMixture(training.mixup, seed, at);
      const batch = this.#order.subarray(this.#taken + step * rows);
      for (const [row, partner] of partners.entries()) {
        const own = this.#rows.row(batch[row] as number);
        const other = this.#rows.row(batch[partner] as number);
        const place = step * rows + row;
        const part = (values: Float32Array, width: number) =>
          values.subarray(place * width, (place + 1) * width);
        mixInto(part(features, featureCount), own.features, other.features, share);
        target(value.own, own.label);
        target(value.other, other.label);
        mixInto(part(targets, classCount), value.own, value.other, share);
        labels[place] = share >= 0.5 ? own.label : other.label;
      }
    }
  }
}

/** A linear head's own dropout is on its input already. */
function inputDropoutOf(head: HeadRecipe): number {
  return head.type === "linear" ? 0 : head.inputDropout;
}
