import type { OptimizerRecipe, TrainingRecipe } from "@trommel/common";
import { EpochBatches, type BatchMemory, type BatchSetting } from "../batches/epoch-batches.js";
import { noiseSeed } from "../batches/epoch-order.js";
import { factorLayers, factorShapes, type FactorLayer, type FactorPlace } from "../noise/dropout-factors.js";
import type { JoinedRows } from "../model/row-set.js";

/**
 * Bytes of rows, targets and factors for one block of steps: small enough to stay in the processor's caches between writing
 * and reading, large enough that dozens of steps share the overhead of one session run. AdamW has larger ones, because the
 * heads that need its decay are large, and a run passes over all weights and moments once more. The other optimisers round
 * their moments after every block: another number of steps changes their bytes.
 */
function blockBytes({ type }: OptimizerRecipe): number {
  return type === "adamw" ? 16 * 2 ** 20 : 4 * 2 ** 20;
}

/** What blocks depend on besides rows and epoch. */
export interface BlockSetting extends BatchSetting {
  readonly training: BatchSetting["training"] & Pick<TrainingRecipe, "optimizer">;
}

/** Memory for one block. It is used again and again: the pages of fresh memory would cost as much as filling them. */
export interface BlockMemory extends BatchMemory {
  readonly features: Float32Array<ArrayBuffer>;
  readonly labels: Int32Array<ArrayBuffer>;
  readonly targets: Float32Array<ArrayBuffer>;
  readonly rowWeights: Float32Array<ArrayBuffer> | undefined;
  readonly factors: ReadonlyMap<FactorPlace, Float32Array<ArrayBuffer>>;
}

/** Consecutive steps of the same number of rows, as the training graph takes them. */
export interface StepBlock {
  /** Its number in the epoch, from 0. */
  readonly firstStep: number;
  readonly steps: number;
  /** Rows of each step. */
  readonly rows: number;
  /** Its beginning holds features [steps, rows, features], labels [steps, rows], targets and factors likewise. */
  readonly memory: BlockMemory;
}

export function allocateBlock(setting: BlockSetting): BlockMemory {
  const { featureCount, classCount, training } = setting;
  const rows = stepsAtMost(setting) * training.batchSize;
  const layers = factorShapes(setting.head, featureCount);
  return {
    features: new Float32Array(rows * featureCount),
    labels: new Int32Array(rows),
    targets: new Float32Array(rows * classCount),
    rowWeights: setting.classWeights === undefined ? undefined : new Float32Array(rows),
    factors: new Map(layers.map(({ place, width }) => [place, new Float32Array(rows * width)])),
  };
}

/** What has to be moved to hand a block's memory to another thread. */
export function buffersOf({ features, labels, targets, rowWeights, factors }: BlockMemory): ArrayBuffer[] {
  const weights = rowWeights === undefined ? [] : [rowWeights];
  return [features, labels, targets, ...weights, ...factors.values()].map(({ buffer }) => buffer);
}

function stepsAtMost({ head, training, featureCount, classCount }: BlockSetting): number {
  const layers = factorShapes(head, featureCount);
  const width = layers.reduce((sum, layer) => sum + layer.width, featureCount + classCount);
  return Math.max(1, Math.floor(blockBytes(training.optimizer) / (4 * width * training.batchSize)));
}

/** An epoch's batches in order, some dozens to a block; a smaller last batch is a block of its own. */
export class EpochBlocks {
  readonly #batches: EpochBatches;
  readonly #layers: readonly FactorLayer[];
  readonly #stepsAtMost: number;
  #step = 0;

  constructor(setting: BlockSetting, rows: JoinedRows, epoch: number) {
    this.#batches = new EpochBatches(setting, rows, epoch);
    this.#layers = factorLayers(setting.head, setting.featureCount, noiseSeed(setting.seed, epoch));
    this.#stepsAtMost = stepsAtMost(setting);
  }

  /** @returns undefined after the last */
  next(memory: BlockMemory): StepBlock | undefined {
    const firstStep = this.#step;
    const rows = this.#batches.rowsOfNext;
    if (rows === 0) return undefined;
    const steps = Math.min(this.#stepsAtMost, Math.floor(this.#batches.rowsLeft / rows));
    this.#batches.take(steps, memory);
    // The layers share one generator, which serves them in turn, step by step.
    for (let step = 0; step < steps; step += 1) {
      for (const { place, width, fill } of this.#layers) {
        fill(memory.factors.get(place)?.subarray(step * rows * width, (step + 1) * rows * width) ?? noValues);
      }
    }
    this.#step += steps;
    return { firstStep, steps, rows, memory };
  }
}

const noValues = new Float32Array();
