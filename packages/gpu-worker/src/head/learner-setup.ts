import type { EngineName, HeadRecipe, HeadWeights, TrainingRecipe } from "@trommel/common";
import { batchClassWeights } from "./batches/class-weights.js";
import { createCompiledLearner } from "./compiled/compiled-learner.js";
import type { EpochSetting, HeadLearner, LearnerStart, StepTraining } from "./head-learner.js";
import { initialWeights } from "./model/head-model.js";
import type { JoinedRows } from "./model/row-set.js";
import { createSchedule, type Schedule } from "./schedule.js";
import { createTfjsLearner } from "./tfjs/tfjs-learner.js";

/** What every training of a head is given besides its rows. */
export interface TrainingInputs {
  readonly classCount: number;
  /** In label order. Required if the recipe weights classes by their names. */
  readonly classNames?: readonly string[];
  readonly head: HeadRecipe;
  readonly training: TrainingRecipe;
  readonly seed: number;
  /**
   * `tfjs`, TensorFlow.js, is the reference: equal up to rounding, several times slower.
   * @default "onnx"
   */
  readonly engine?: EngineName;
  /** CPU threads; the bytes do not depend on them. @default 1 */
  readonly threads?: number;
  /** Checked between epochs. */
  readonly signal?: AbortSignal;
}

/** A training step by step, before its rows are known. */
export interface LearnerSetup {
  readonly inputs: TrainingInputs;
  readonly training: StepTraining;
  readonly featureCount: number;
  readonly initial: HeadWeights;
}

const learners = { onnx: createCompiledLearner, tfjs: createTfjsLearner };

export function setUpLearner(
  inputs: TrainingInputs,
  training: StepTraining,
  featureCount: number,
): LearnerSetup {
  const { head, classCount, seed } = inputs;
  return { inputs, training, featureCount, initial: initialWeights(head, featureCount, classCount, seed) };
}

/**
 * Trains with a learner and releases it.
 * @param from the state to continue from
 * @param seenLosses the validation losses of earlier epochs, which the schedule receives first
 */
export async function withLearner<T>(
  { inputs, training, featureCount, initial }: LearnerSetup,
  rows: JoinedRows,
  { from, seenLosses }: { readonly from?: LearnerStart | undefined; readonly seenLosses: readonly number[] },
  work: (learner: HeadLearner, schedule: Schedule) => Promise<T>,
): Promise<T> {
  const { head, classCount, classNames, seed, threads = 1, engine = "onnx" } = inputs;
  const schedule = createSchedule(training.schedule, training.optimizer.learningRate, training.epochs);
  for (const loss of seenLosses) schedule.epochEnded(loss);
  const classWeights = batchClassWeights(training, classNames, { rows, classCount });
  const setting: EpochSetting = { head, training, featureCount, classCount, seed, threads, classWeights };
  const learner = await learners[engine](setting, from ?? { weights: initial }, rows);
  try {
    return await work(learner, schedule);
  } finally {
    await learner.release();
  }
}
