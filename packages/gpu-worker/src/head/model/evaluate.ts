import type { Evaluation } from "@trommel/common";
import { checkSizes } from "../../measure/check-predictions.js";
import { confusionFigures, confusionOf, confusionRows, predictedClasses } from "../../measure/classes.js";
import { rowLosses } from "../../measure/softmax.js";

/**
 * Figures of a classifier's probabilities. The predicted class is the one of highest probability, the first on a tie.
 * @param probabilities [rows, classes], row-major
 * @param labels the true class of each row, an index into `classNames`
 * @throws TrommelError `bad-dataset` without rows, `internal` when lengths or labels do not fit
 */
export function evaluate(
  probabilities: Float32Array,
  labels: Int32Array,
  classNames: readonly string[],
): Evaluation {
  const classCount = classNames.length;
  checkSizes(probabilities, labels, classCount);
  const scores = Float64Array.from(probabilities);
  const confusion = confusionOf(predictedClasses(scores, classCount), labels, classCount);
  const { accuracy, macroF1, perClass } = confusionFigures(confusion, classCount);
  const loss = rowLosses(scores, labels, classCount).reduce((sum, value) => sum + value, 0);
  return {
    rows: labels.length,
    accuracy,
    macroF1,
    logLoss: loss / labels.length,
    perClass: perClass.map((rates, index) => ({ label: classNames[index] as string, ...rates })),
    confusion: confusionRows(confusion, classCount),
  };
}
