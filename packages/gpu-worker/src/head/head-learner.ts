import type { HeadRecipe, HeadWeights, StepOptimizerRecipe, TrainingRecipe } from "@trommel/common";
import type { JoinedRows, RowSet } from "./model/row-set.js";
import type { ValidationFigures } from "./keep-rule.js";
import type { Schedule } from "./schedule.js";

/** The number of steps and the moments: with the weights, all that an optimiser needs to continue. */
export interface OptimizerState {
  readonly step: number;
  /** By `<kind>/<weight>`, each as long as its weight. */
  readonly moments: ReadonlyMap<string, Float32Array>;
}

/** A training by an optimiser that steps. */
export type StepTraining = TrainingRecipe & { readonly optimizer: StepOptimizerRecipe };

/** What stays the same from epoch to epoch. */
export interface EpochSetting {
  readonly head: HeadRecipe;
  readonly training: StepTraining;
  readonly featureCount: number;
  readonly classCount: number;
  readonly seed: number;
  /** By class, see `batchClassWeights`; undefined if all rows weigh the same. */
  readonly classWeights?: Float64Array | undefined;
  /** With two or more, the compiled learner prepares batches on a second thread. */
  readonly threads: number;
}

export interface TrainedEpoch {
  /** Means over the epoch's batches during training, dropout, mixup and class weights included. */
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  /** The rate of the last step. */
  readonly learningRate: number;
}

/** Without class weights; the loss with label smoothing. */
export type ValidatedEpoch = ValidationFigures;

/** @param logarithms [rows, classes] */
export type OnValidatedRows = (start: number, logarithms: Float32Array) => void;

/** The state in which a learner starts. It copies the arrays. */
export interface LearnerStart {
  readonly weights: HeadWeights;
  /** Absent at the start of a training. */
  readonly optimizer?: OptimizerState | undefined;
}

/**
 * A head in training. The two implementations use the same rows, noise and rates: `compiled-learner.ts` with ONNX Runtime, and
 * `tfjs-learner.ts` with TensorFlow.js, the reference. They agree up to rounding, and each reproduces its own bytes.
 */
export interface HeadLearner {
  /** One pass over all its rows; their order and the noise come from (seed, epoch). The last batch may be smaller. */
  trainEpoch(epoch: number, schedule: Schedule): Promise<TrainedEpoch>;
  /**
   * The figures on the validation rows, without noise.
   * @param onRows takes the log-probabilities of the rows from `start` on
   */
  validate(rows: RowSet, onRows?: OnValidatedRows): Promise<ValidatedEpoch>;
  /** A copy of the weights as they are now. */
  snapshot(): HeadWeights;
  /** The current state, not a copy: later epochs may write to it. */
  readonly optimizerState: OptimizerState;
  release(): Promise<void>;
}

/** @param rows what it trains on */
export type CreateLearner = (
  setting: EpochSetting,
  start: LearnerStart,
  rows: JoinedRows,
) => Promise<HeadLearner>;
