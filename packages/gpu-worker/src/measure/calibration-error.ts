/** A bin of the reliability diagram. */
export interface ReliabilityBin {
  /** Mean of the largest probability. */
  readonly confidence: number;
  readonly accuracy: number;
  readonly count: number;
}

const reliabilityBins = 15;

/**
 * Bins of equal mass: rows in the order of their confidence (ties in the order of the rows), the bin b of B holding the rows
 * from ⌊b·n/B⌋ up to ⌊(b+1)·n/B⌋. With fewer rows than bins, empty bins are left out.
 * @param confidences the largest probability of every row
 * @param hits 1 where the predicted class is the true one, else 0
 * @param weights whole numbers: a row of weight w counts as w rows, one after the other
 */
export function binsOfEqualMass(
  confidences: Float64Array,
  hits: ArrayLike<number>,
  weights?: Float64Array,
  binCount: number = reliabilityBins,
): ReliabilityBin[] {
  const weightOf = (row: number) => (weights === undefined ? 1 : (weights[row] as number));
  const order = rowsByConfidence(confidences, weights);
  const total = order.reduce((sum, row) => sum + weightOf(row), 0);
  const bins: ReliabilityBin[] = [];
  let at = 0;
  let left = order.length === 0 ? 0 : weightOf(order[0] as number);
  for (let bin = 0; bin < binCount; bin += 1) {
    const count = Math.floor(((bin + 1) * total) / binCount) - Math.floor((bin * total) / binCount);
    if (count === 0) continue;
    let confidence = 0;
    let accuracy = 0;
    for (let missing = count; missing > 0;) {
      const row = order[at] as number;
      const taken = Math.min(missing, left);
      confidence += taken * (confidences[row] as number);
      accuracy += taken * (hits[row] as number);
      missing -= taken;
      left -= taken;
      if (left === 0 && at + 1 < order.length) left = weightOf(order[(at += 1)] as number);
    }
    bins.push({ confidence: confidence / count, accuracy: accuracy / count, count });
  }
  return bins;
}

/**
 * Expected calibration error, the plug-in estimator over bins of equal mass (Nguyen and O'Connor 2015; Nixon et al. 2019):
 * Σ count/n · |accuracy − confidence|. Chance in a bin's accuracy makes it larger than the error of the classifier itself,
 * the more so the fewer rows there are.
 */
export function calibrationError(bins: readonly ReliabilityBin[]): number {
  let sum = 0;
  let total = 0;
  for (const { confidence, accuracy, count } of bins) {
    sum += count * Math.abs(accuracy - confidence);
    total += count;
  }
  return sum / total;
}

/** Rows of weight above zero, the least confident first. */
function rowsByConfidence(confidences: Float64Array, weights: Float64Array | undefined): Uint32Array {
  const all = Uint32Array.from({ length: confidences.length }, (_, row) => row);
  const rows = weights === undefined ? all : all.filter((row) => (weights[row] as number) > 0);
  return rows.sort((a, b) => (confidences[a] as number) - (confidences[b] as number) || a - b);
}
