import { checkPredictions } from "./check-predictions.js";
import { predictedClasses } from "./classes.js";
import { confidencesOf } from "./predictions.js";
import { rowsOf } from "./rows-of.js";

export interface ClassThreshold {
  /** Null if it is unreachable: no threshold reaches the precision. */
  readonly threshold: number | null;
  /** Cross-fitted: each fold's images with the threshold of the others. Null if none was accepted. */
  readonly precision: number | null;
  /** The share of the images predicted as this class that were accepted, cross-fitted; null if none was predicted so. */
  readonly coverage: number | null;
  /** Images accepted as this class, cross-fitted. */
  readonly accepted: number;
}

/**
 * For each class the smallest probability from which on at least the wished share of the images predicted as that class is of
 * that class: an image is accepted as its predicted class if that class's probability is the threshold or more. Thresholds
 * are probabilities that occur.
 * @param probabilities out-of-fold, [images, classCount]
 * @returns null for a class where no threshold reaches the precision
 * @throws TrommelError as `figures` does
 */
export function precisionThresholds(
  probabilities: Float64Array,
  labels: Int32Array,
  classCount: number,
  wishedPrecision: number,
): (number | null)[] {
  checkPredictions(probabilities, labels, classCount);
  const predicted = predictedClasses(probabilities, classCount);
  const confidences = confidencesOf(probabilities, predicted, classCount);
  const rows = Array.from(labels.keys()).sort((a, b) => at(confidences, b) - at(confidences, a));
  return Array.from({ length: classCount }, (_, index) => {
    const mine = rows.filter((row) => predicted[row] === index);
    let hits = 0;
    let found: number | null = null;
    for (const [rank, row] of mine.entries()) {
      if (labels[row] === index) hits += 1;
      // Equal probabilities are accepted together.
      const next = mine[rank + 1];
      if (next !== undefined && confidences[next] === confidences[row]) continue;
      if (hits / (rank + 1) >= wishedPrecision) found = at(confidences, row);
    }
    return found;
  });
}

/**
 * The thresholds of all images, and what they are worth: precision and coverage of each fold's images with thresholds that were
 * fitted on the other folds.
 * @param foldOf the fold of each image, from 0 to `folds` − 1
 */
export function crossFittedThresholds(
  probabilities: Float64Array,
  labels: Int32Array,
  classCount: number,
  foldOf: Int32Array,
  folds: number,
  wishedPrecision: number,
): ClassThreshold[] {
  const thresholds = precisionThresholds(probabilities, labels, classCount, wishedPrecision);
  const predicted = predictedClasses(probabilities, classCount);
  const confidences = confidencesOf(probabilities, predicted, classCount);
  const tallies = thresholds.map(() => ({ predicted: 0, accepted: 0, hits: 0 }));
  for (let fold = 0; fold < folds; fold += 1) {
    const others = Int32Array.from(labels.keys()).filter((row) => foldOf[row] !== fold);
    const ofOthers =
      others.length === 0
        ? thresholds.map(() => null)
        : precisionThresholds(
            rowsOf(probabilities, others, classCount),
            rowsOf(labels, others),
            classCount,
            wishedPrecision,
          );
    for (const [row, own] of foldOf.entries()) {
      if (own !== fold) continue;
      const index = predicted[row] as number;
      const tally = tallies[index] as (typeof tallies)[number];
      const threshold = ofOthers[index] ?? null;
      tally.predicted += 1;
      if (threshold === null || at(confidences, row) < threshold) continue;
      tally.accepted += 1;
      if (labels[row] === index) tally.hits += 1;
    }
  }
  return tallies.map(({ predicted: count, accepted, hits }, index) => ({
    threshold: thresholds[index] ?? null,
    precision: accepted === 0 ? null : hits / accepted,
    coverage: count === 0 ? null : accepted / count,
    accepted,
  }));
}

function at(values: Float64Array, index: number): number {
  return values[index] as number;
}
