import { predictedClasses } from "./classes.js";
import { rowsOf } from "./rows-of.js";
import { rowLosses } from "./softmax.js";

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

/** 1 where the predicted class is the true one, else 0. */
export function hitsOf(predicted: Int32Array, labels: Int32Array): Uint8Array {
  return Uint8Array.from(labels, (label, row) => (predicted[row] === label ? 1 : 0));
}

/** The probability of every row's predicted class. */
export function confidencesOf(
  probabilities: Float64Array,
  predicted: Int32Array,
  classCount: number,
): Float64Array {
  return Float64Array.from(predicted, (index, row) => probabilities[row * classCount + index] as number);
}
