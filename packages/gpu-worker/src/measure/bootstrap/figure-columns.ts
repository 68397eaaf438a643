import { binsOfEqualMass, calibrationError } from "../calibration-error.js";
import { confusionFigures, confusionOf } from "../classes.js";
import type { Predictions } from "../predictions.js";

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
