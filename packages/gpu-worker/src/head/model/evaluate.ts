import { TrommelError, type Evaluation } from "@trommel/common";

/** Probabilities are clipped here before the logarithm, as scikit-learn did. */
const smallestProbability = 1e-15;

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
  const confusion = classNames.map(() => new Array<number>(classCount).fill(0));
  let loss = 0;
  for (const [row, label] of labels.entries()) {
    const values = probabilities.subarray(row * classCount, (row + 1) * classCount);
    loss -= Math.log(Math.min(1, Math.max(smallestProbability, values[label] as number)));
    const counts = confusion[label] as number[];
    const predicted = argmax(values);
    counts[predicted] = (counts[predicted] as number) + 1;
  }
  const perClass = classNames.map((label, index) => classFigures(label, index, confusion));
  const supported = perClass.filter(({ support }) => support > 0);
  const correct = confusion.reduce((sum, counts, i) => sum + (counts[i] as number), 0);
  return {
    rows: labels.length,
    accuracy: correct / labels.length,
    macroF1: supported.reduce((sum, { f1 }) => sum + f1, 0) / supported.length,
    logLoss: loss / labels.length,
    perClass,
    confusion,
  };
}

/** Index of the largest value, the first on a tie. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

function classFigures(
  label: string,
  index: number,
  confusion: readonly (readonly number[])[],
): Evaluation["perClass"][number] {
  const hits = confusion[index]?.[index] ?? 0;
  const support = (confusion[index] ?? []).reduce((sum, count) => sum + count, 0);
  const predicted = confusion.reduce((sum, counts) => sum + (counts[index] ?? 0), 0);
  return {
    label,
    support,
    precision: predicted === 0 ? null : hits / predicted,
    recall: support === 0 ? null : hits / support,
    f1: support + predicted === 0 ? 0 : (2 * hits) / (support + predicted),
  };
}

function checkSizes(probabilities: Float32Array, labels: Int32Array, classCount: number): void {
  if (labels.length === 0) {
    throw new TrommelError(
      "bad-dataset",
      "cannot evaluate: there is no validation image. Give each class at least two readable images",
    );
  }
  if (probabilities.length !== labels.length * classCount) {
    throw new TrommelError(
      "internal",
      `cannot evaluate: ${probabilities.length} probabilities given for ${labels.length} rows of ${classCount} classes`,
    );
  }
  const wrong = labels.find((label) => label < 0 || label >= classCount);
  if (wrong !== undefined) {
    throw new TrommelError("internal", `cannot evaluate: label ${wrong} is not one of ${classCount} classes`);
  }
}
