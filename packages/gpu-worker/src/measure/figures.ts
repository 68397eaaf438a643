import { binsOfEqualMass, calibrationError, type ReliabilityBin } from "./calibration-error.js";
import { checkPredictions } from "./check-predictions.js";
import { confusionFigures, confusionOf, confusionRows, type ConfusionFigures } from "./classes.js";
import { predictionsOf, type Predictions } from "./predictions.js";

export interface Figures extends ConfusionFigures {
  readonly images: number;
  /** Mean negative natural logarithm of the true class's probability, clipped at 1e-15. */
  readonly logLoss: number;
  /** How far the largest probability is from the accuracy, over 15 bins of equal mass: see `calibrationError`. */
  readonly expectedCalibrationError: number;
  /** confusion[i][j]: images of true class i predicted as class j. */
  readonly confusion: readonly (readonly number[])[];
  readonly reliability: readonly ReliabilityBin[];
}

/**
 * Figures of a classifier's probabilities. The predicted class is the one of highest probability, the first on a tie.
 * @param probabilities [images, classCount], row-major; from logits by `applyTemperature`
 * @param labels the true class of each image
 * @throws TrommelError `bad-dataset` without images, `internal` when lengths, labels or probabilities do not fit
 */
export function figures(probabilities: Float64Array, labels: Int32Array, classCount: number): Figures {
  checkPredictions(probabilities, labels, classCount);
  return figuresOf(predictionsOf(probabilities, labels, classCount));
}

/** Figures of predictions: of at least one image. */
export function figuresOf({
  labels,
  classCount,
  predicted,
  hits,
  confidences,
  losses,
}: Predictions): Figures {
  const confusion = confusionOf(predicted, labels, classCount);
  const reliability = binsOfEqualMass(confidences, hits);
  return {
    images: labels.length,
    ...confusionFigures(confusion, classCount),
    logLoss: losses.reduce((sum, loss) => sum + loss, 0) / labels.length,
    expectedCalibrationError: calibrationError(reliability),
    confusion: confusionRows(confusion, classCount),
    reliability,
  };
}
