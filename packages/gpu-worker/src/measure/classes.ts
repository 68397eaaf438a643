/** Index of the largest value, the first on a tie. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

/**
 * The predicted class of every row.
 * @param scores [rows, classCount], row-major: probabilities or logits
 */
export function predictedClasses(scores: Float64Array, classCount: number): Int32Array {
  const predicted = new Int32Array(scores.length / classCount);
  for (let row = 0; row < predicted.length; row += 1) {
    predicted[row] = argmax(scores.subarray(row * classCount, (row + 1) * classCount));
  }
  return predicted;
}

/**
 * How often (with how much weight) a row of true class i was predicted as class j.
 * @returns [classCount, classCount], row-major, [i, j]
 */
export function confusionOf(
  predicted: Int32Array,
  labels: Int32Array,
  classCount: number,
  weights?: Float64Array,
): Float64Array {
  const confusion = new Float64Array(classCount * classCount);
  for (let row = 0; row < labels.length; row += 1) {
    const cell = (labels[row] as number) * classCount + (predicted[row] as number);
    confusion[cell] = (confusion[cell] as number) + (weights === undefined ? 1 : (weights[row] as number));
  }
  return confusion;
}

/** A confusion matrix as rows: [i][j]. */
export function confusionRows(confusion: Float64Array, classCount: number): number[][] {
  return Array.from({ length: classCount }, (_, i) =>
    Array.from(confusion.subarray(i * classCount, (i + 1) * classCount)),
  );
}

export interface ClassRates {
  /** Rows of this class. */
  readonly support: number;
  /** Null if nothing was predicted as this class. */
  readonly precision: number | null;
  /** Null if no row is of this class. */
  readonly recall: number | null;
  /** Zero if no row is of this class and none was predicted as it. */
  readonly f1: number;
}

export interface ConfusionFigures {
  readonly accuracy: number;
  /** Mean of the recalls of the classes that have rows. */
  readonly balancedAccuracy: number;
  /** Mean of the F1 of the classes that have rows. */
  readonly macroF1: number;
  readonly perClass: readonly ClassRates[];
}

/** @param confusion as of {@link confusionOf}; with at least one row */
export function confusionFigures(confusion: Float64Array, classCount: number): ConfusionFigures {
  const supports = new Float64Array(classCount);
  const predictions = new Float64Array(classCount);
  for (let i = 0; i < classCount; i += 1) {
    for (let j = 0; j < classCount; j += 1) {
      const count = confusion[i * classCount + j] as number;
      supports[i] = (supports[i] as number) + count;
      predictions[j] = (predictions[j] as number) + count;
    }
  }
  const hitsOf = (index: number) => confusion[index * (classCount + 1)] as number;
  const perClass = Array.from(supports, (support, index): ClassRates => {
    const hits = hitsOf(index);
    const predicted = predictions[index] as number;
    return {
      support,
      precision: predicted === 0 ? null : hits / predicted,
      recall: support === 0 ? null : hits / support,
      f1: support + predicted === 0 ? 0 : (2 * hits) / (support + predicted),
    };
  });
  const supported = perClass.filter(({ support }) => support > 0);
  const mean = (valueOf: (rates: ClassRates) => number) =>
    supported.reduce((sum, rates) => sum + valueOf(rates), 0) / supported.length;
  const rows = supports.reduce((sum, support) => sum + support, 0);
  return {
    accuracy: perClass.reduce((sum, _, index) => sum + hitsOf(index), 0) / rows,
    balancedAccuracy: mean(({ recall }) => recall ?? 0),
    macroF1: mean(({ f1 }) => f1),
    perClass,
  };
}
