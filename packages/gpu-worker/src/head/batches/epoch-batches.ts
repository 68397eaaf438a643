import type { HeadRecipe, TrainingRecipe } from "@trommel/common";
import { fillTargets, smoothedTargets } from "../model/cross-entropy.js";
import type { JoinedRows } from "../model/row-set.js";
import { NoiseGenerator } from "../noise/noise-generator.js";
import { epochOrder, inputNoiseSeed } from "./epoch-order.js";
import { drawMixture, mixInto } from "./mixup.js";

/** What an epoch's batches depend on besides rows and epoch. */
export interface BatchSetting {
  readonly head: HeadRecipe;
  readonly training: Pick<TrainingRecipe, "batchSize" | "labelSmoothing" | "mixup" | "sampling">;
  readonly featureCount: number;
  readonly classCount: number;
  readonly seed: number;
  /** By class, see `batchClassWeights`; undefined if all rows weigh the same. */
  readonly classWeights?: Float64Array | undefined;
}

/** Memory for the rows of one or more batches; its beginning holds them. */
export interface BatchMemory {
  /** [rows, features] */
  readonly features: Float32Array;
  /** A mixed row has the label of its larger share. */
  readonly labels: Int32Array;
  /** [rows, classes], each a distribution */
  readonly targets: Float32Array;
  /** The factor of each row's loss; undefined if all rows weigh the same. */
  readonly rowWeights?: Float32Array | undefined;
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
  /** [classes, classes]: the target of each label. */
  readonly #classTargets: Float32Array;
  #step = 0;
  #taken = 0;

  constructor(setting: BatchSetting, rows: JoinedRows, epoch: number) {
    this.#setting = setting;
    this.#rows = rows;
    this.#epoch = epoch;
    this.#order = epochOrder(setting.training.sampling, setting.seed, { rows, epoch });
    const everyLabel = Int32Array.from({ length: setting.classCount }, (_, label) => label);
    this.#classTargets = smoothedTargets(everyLabel, setting.classCount, setting.training.labelSmoothing);
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
    const rowWeights = memory.rowWeights?.subarray(0, count);
    if (training.mixup > 0) this.#takeMixed(steps, { features, labels, targets, rowWeights });
    else {
      this.#rows.gatherInto(this.#order.subarray(this.#taken, this.#taken + count), features, labels);
      fillTargets(targets, labels, classCount, training.labelSmoothing);
      rowWeights?.set(Array.from(labels, (label) => this.#weightOf(label)));
    }
    // Batch by batch: what is drawn does not depend on how many are taken at once.
    for (let step = 0; this.#inputDropout > 0 && step < steps; step += 1) {
      const batch = partOf(features, step, (count / steps) * featureCount);
      this.#inputNoise.dropValues(batch, this.#inputDropout);
    }
    this.#step += steps;
    this.#taken += count;
  }

  #takeMixed(steps: number, memory: BatchMemory): void {
    const { training, seed } = this.#setting;
    const rows = this.rowsOfNext;
    for (let step = 0; step < steps; step += 1) {
      const at = { epoch: this.#epoch, step: this.#step + step, rows };
      const { share, partners } = drawMixture(training.mixup, seed, at);
      const batch = this.#order.subarray(this.#taken + step * rows, this.#taken + (step + 1) * rows);
      for (const [row, own] of batch.entries()) {
        const pair = { own, other: batch[partners[row] as number] as number };
        this.#mixRow(pair, share, memory, step * rows + row);
      }
    }
  }

  /**
   * The loss of a mixed row is share · weight · loss with its own label, and the rest · weight · loss with the other: the
   * cross-entropy with a mixed target, times a mixed weight.
   */
  #mixRow(
    pair: { readonly own: number; readonly other: number },
    share: number,
    { features, labels, targets, rowWeights }: BatchMemory,
    place: number,
  ): void {
    const { classCount, featureCount } = this.#setting;
    const own = this.#rows.row(pair.own);
    const other = this.#rows.row(pair.other);
    mixInto(partOf(features, place, featureCount), own.features, other.features, share);
    const ownWeight = share * this.#weightOf(own.label);
    const weight = ownWeight + (1 - share) * this.#weightOf(other.label);
    const target = (label: number) => partOf(this.#classTargets, label, classCount);
    const mixed = partOf(targets, place, classCount);
    mixInto(
      mixed,
      target(own.label),
      target(other.label),
      rowWeights === undefined ? share : ownWeight / weight,
    );
    if (rowWeights !== undefined) rowWeights[place] = weight;
    labels[place] = share >= 0.5 ? own.label : other.label;
  }

  #weightOf(label: number): number {
    return this.#setting.classWeights?.[label] ?? 1;
  }
}

/** A linear head's own dropout is on its input already. */
function inputDropoutOf(head: HeadRecipe): number {
  return head.type === "linear" ? 0 : head.inputDropout;
}

function partOf(values: Float32Array, index: number, width: number): Float32Array {
  return values.subarray(index * width, (index + 1) * width);
}
