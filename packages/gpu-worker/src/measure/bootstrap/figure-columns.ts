import { binsOfEqualMass, calibrationError } from "../calibration-error.js";
import { confusionFigures, confusionOf, predictedClasses } from "../classes.js";
import { confidencesOf, hitsOf } from "../figures.js";
import { rowsOf } from "../rows-of.js";
import { rowLosses } from "../softmax.js";

/** What fixed predictions say of every image. */
export interface Predictions {
  readonly labels: Int32Array;
  readonly classCount: number;
  readonly predicted: Int32Array;
  /** 1 where the predicted class is the true one, else 0. */
  readonly hits: Uint8Array;
  /** Probability of the predicted class. */
  readonly confidences: Float64Array;
  readonly losses: Float64Array;
}

/** @param probabilities [images, classCount] */
export function predictionsOf(
  probabilities: Float64Array,
  labels: Int32Array,
  classCount: number,
): Predictions {
  const predicted = predictedClasses(probabilities, classCount);
  return {
    labels,
    classCount,
    predicted,
    hits: hitsOf(predicted, labels),
    confidences: confidencesOf(probabilities, predicted, classCount),
    losses: rowLosses(probabilities, labels, classCount),
  };
}

export function predictionRows(predictions: Predictions, rows: Int32Array): Predictions {
  const { labels, classCount, predicted, hits, confidences, losses } = predictions;
  return {
    labels: rowsOf(labels, rows),
    classCount,
    predicted: rowsOf(predicted, rows),
    hits: rowsOf(hits, rows),
    confidences: rowsOf(confidences, rows),
    losses: rowsOf(losses, rows),
  };
}

/**
 * The figures of weighted images in columns: accuracy, balanced accuracy, macro F1, log loss, expected calibration error,
 * then the precision of every class, then its recall. NaN where a figure does not exist.
 */
export function figureColumns(predictions: Predictions, weights?: Float64Array): Float64Array {
  const { confidences, hits } = predictions;
  return columnsWith(predictions, weights, calibrationError(binsOfEqualMass(confidences, hits, weights)));
}

/** The same with another number in the calibration error's column; computing that error takes most of the time. */
export function columnsWith(
  {
    labels,
    classCount,
    predicted,
    losses,
  }: Pick<Predictions, "labels" | "classCount" | "predicted" | "losses">,
  weights: Float64Array | undefined,
  calibration: number,
): Float64Array {
  const found = confusionFigures(confusionOf(predicted, labels, classCount, weights), classCount);
  let loss = 0;
  let total = 0;
  for (let row = 0; row < losses.length; row += 1) {
    const weight = weights === undefined ? 1 : (weights[row] as number);
    loss += weight * (losses[row] as number);
    total += weight;
  }
  return Float64Array.of(
    found.accuracy,
    found.balancedAccuracy,
    found.macroF1,
    loss / total,
    calibration,
    ...found.perClass.map(({ precision }) => precision ?? NaN),
    ...found.perClass.map(({ recall }) => recall ?? NaN),
  );
}
