import { setImmediate as nextTurn } from "node:timers/promises";
import { TrommelError, type HeadWeights } from "@trommel/common";
import { checkFinite, checkSignal, checkTrainRows } from "./check-training.js";
import { setUpLearner, withLearner, type TrainingInputs } from "./learner-setup.js";
import { JoinedRows, type RowSet } from "./model/row-set.js";
import { solveOnRows, stepTraining } from "./solver/solved-training.js";
import type { RefitRecord } from "./training-state.js";

export interface TrainForEpochsInputs extends TrainingInputs {
  /** Every view of the training images; classes are 0..classCount − 1. */
  readonly train: RowSet;
  readonly onEpoch?: (record: RefitRecord) => void;
}

/**
 * Trains a head without validation for exactly the recipe's epochs; one that is solved (optimiser `lbfgs`) has one epoch. The
 * same inputs give the same bytes, and those of `trainHead` with `keep: last`.
 * @throws TrommelError `bad-dataset` without rows or when the loss stops being finite, `invalid-argument` for a plateau
 *   schedule or a weight of no class, `cancelled` when the signal aborts, `internal` when lengths or labels do not fit
 */
export async function trainForEpochs(inputs: TrainForEpochsInputs): Promise<HeadWeights> {
  const { train, training, classCount, signal, onEpoch } = inputs;
  const featureCount = checkTrainRows(train, classCount);
  const rows = new JoinedRows([train], featureCount);
  const stepped = stepTraining(training);
  if (stepped === undefined) {
    const { weights, record } = await solveOnRows(inputs, rows);
    onEpoch?.(record);
    return weights;
  }
  if (stepped.schedule.type === "plateau") {
    throw new TrommelError(
      "invalid-argument",
      "cannot train the head: a plateau schedule waits for validation losses, and this training has no validation. " +
        "Set training.schedule.type to constant, cosine or square",
    );
  }
  const setup = setUpLearner(inputs, stepped, featureCount);
  return await withLearner(setup, rows, { seenLosses: [] }, async (learner, schedule) => {
    for (let epoch = 1; epoch <= stepped.epochs; epoch += 1) {
      checkSignal(signal, `before epoch ${epoch}`);
      const record: RefitRecord = { epoch, ...(await learner.trainEpoch(epoch, schedule)) };
      checkFinite(record);
      onEpoch?.(record);
      await nextTurn();
    }
    return learner.snapshot();
  });
}
