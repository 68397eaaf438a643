import type { HeadRecipe, TrainingRecipe } from "@trommel/common";
import { fillTargets } from "../model/cross-entropy.js";
import type { JoinedRows } from "../model/row-set.js";
import { NoiseGenerator } from "../noise/noise-generator.js";
import { epochOrder, inputNoiseSeed } from "./epoch-order.js";

/** What an epoch's batches depend on besides rows and epoch. */
export interface BatchSetting {
  readonly head: HeadRecipe;
  readonly training: Pick<TrainingRecipe, "batchSize" | "labelSmoothing">;
  readonly featureCount: number;
  readonly classCount: number;
  readonly seed: number;
}

/** Memory for the rows of one or more batches; its beginning holds them. */
export interface BatchMemory {
  /** [rows, features] */
  readonly features: Float32Array;
  readonly labels: Int32Array;
  /** [rows, classes] */
  readonly targets: Float32Array;
}

/**
 * An epoch's batches in order, as both learners train on them: the rows of the epoch's order, with input dropout applied
 * to them, and their targets. All of it comes from (seed, epoch).
 */
export class EpochBatches {
  readonly #setting: BatchSetting;
  readonly #rows: JoinedRows;
  readonly #order: Int32Array;
  readonly #inputDropout: number;
  readonly #inputNoise: NoiseGenerator;
  #taken = 0;

  constructor(setting: BatchSetting, rows: JoinedRows, epoch: number) {
    this.#setting = setting;
    this.#rows = rows;
    this.#order = epochOrder(setting.seed, epoch, rows.count);
    this.#inputDropout = inputDropoutOf(setting.head);
    this.#inputNoise = new NoiseGenerator(inputNoiseSeed(setting.seed, epoch));
  }

  /** Rows of the epoch that were not taken yet. */
  get rowsLeft(): number {
    return this.#order.length - this.#taken;
  }

  /** Writes the next rows. */
  take(rowCount: number, { features, labels, targets }: BatchMemory): void {
    const { classCount, featureCount, training } = this.#setting;
    const chosen = this.#order.subarray(this.#taken, this.#taken + rowCount);
    this.#rows.gatherInto(chosen, features, labels);
    const wanted = targets.subarray(0, rowCount * classCount);
    fillTargets(wanted, labels.subarray(0, rowCount), classCount, training.labelSmoothing);
    if (this.#inputDropout > 0)
      this.#inputNoise.applyMask(features.subarray(0, rowCount * featureCount), this.#inputDropout);
    this.#taken += rowCount;
  }
}

/** A linear head's own dropout is on its input already. */
function inputDropoutOf(head: HeadRecipe): number {
  return head.type === "linear" ? 0 : head.inputDropout;
}
