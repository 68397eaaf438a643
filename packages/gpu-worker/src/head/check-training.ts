import { TrommelError, type EpochRecord, type TrainingRecipe } from "@trommel/common";
import type { RowSet } from "./model/row-set.js";

interface TrainingRows {
  readonly train: RowSet;
  readonly validation: RowSet;
  readonly heldBack?: RowSet;
  readonly classCount: number;
  readonly training: Pick<TrainingRecipe, "refit">;
}

/**
 * @returns the number of features a row has
 * @throws TrommelError `bad-dataset` without training or validation rows, `internal` when lengths or labels do not fit
 */
export function checkRows({ train, validation, heldBack, classCount, training }: TrainingRows): number {
  if (train.labels.length === 0 || validation.labels.length === 0) {
    throw new TrommelError(
      "bad-dataset",
      `cannot train the head: ${train.labels.length} training and ${validation.labels.length} validation rows, ` +
        "each needs at least one. Give more readable images, or another validation fraction",
    );
  }
  if (training.refit && heldBack === undefined) {
    throw new TrommelError("internal", "cannot refit the head: the validation rows are missing");
  }
  const named = { training: train, validation, "more validation": heldBack };
  return featuresOf(named, classCount);
}

/**
 * Like {@link checkRows}, for a training without validation.
 * @throws TrommelError `bad-dataset` without rows, `internal` when lengths or labels do not fit
 */
export function checkTrainRows(train: RowSet, classCount: number): number {
  if (train.labels.length === 0) {
    throw new TrommelError(
      "bad-dataset",
      "cannot train the head: there are no training rows. Give more readable images",
    );
  }
  return featuresOf({ training: train }, classCount);
}

function featuresOf(named: Readonly<Record<string, RowSet | undefined>>, classCount: number): number {
  const sets = Object.entries(named).flatMap(([name, rows]) => (rows === undefined ? [] : [{ name, rows }]));
  const [first] = sets;
  const featureCount = first === undefined ? 0 : first.rows.features.length / first.rows.labels.length;
  const fits = sets.every(({ rows: { features, labels } }) => {
    return (
      features.length === labels.length * featureCount &&
      labels.every((label) => label >= 0 && label < classCount)
    );
  });
  if (Number.isInteger(featureCount) && featureCount > 0 && fits) return featureCount;
  const listed = sets.map(({ name, rows: { features, labels } }) => {
    return `${features.length} values of ${labels.length} ${name} rows`;
  });
  throw new TrommelError(
    "internal",
    `cannot train the head: ${[...listed, `${classCount} classes`].join(", ")} do not fit together`,
  );
}

/** @throws TrommelError `cancelled` */
export function checkSignal(signal: AbortSignal | undefined, when: string): void {
  if (signal?.aborted !== true) return;
  throw new TrommelError("cancelled", `cannot train the head: cancelled ${when}`, {
    cause: signal.reason,
  });
}

type MeasuredLoss = Pick<EpochRecord, "epoch" | "learningRate" | "trainLoss"> & Partial<EpochRecord>;

/** @throws TrommelError `bad-dataset`: the training diverged */
export function checkFinite({ epoch, learningRate, trainLoss, validationLoss }: MeasuredLoss): void {
  if (Number.isFinite(trainLoss) && (validationLoss === undefined || Number.isFinite(validationLoss))) return;
  const validated = validationLoss === undefined ? "" : ` and ${validationLoss} in validation`;
  throw new TrommelError(
    "bad-dataset",
    `cannot train the head: in epoch ${epoch} the loss is ${trainLoss} in training${validated}, at learning rate ` +
      `${learningRate}. Lower the learning rate, or check the features for values that are not finite`,
  );
}
