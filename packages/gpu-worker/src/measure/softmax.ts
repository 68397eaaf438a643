/** Probabilities are clipped here before the logarithm, as scikit-learn did. */
const smallestProbability = 1e-15;

/** One temperature for all rows, or one a row. */
type Temperature = number | Float64Array;

/**
 * Probabilities of logits at a temperature: softmax(logits / T) of every row.
 * @param logits [rows, classCount], row-major
 */
export function applyTemperature(
  logits: Float64Array,
  classCount: number,
  temperature: Temperature = 1,
): Float64Array {
  const probabilities = new Float64Array(logits.length);
  for (let start = 0, row = 0; start < logits.length; start += classCount, row += 1) {
    const scale = 1 / (typeof temperature === "number" ? temperature : (temperature[row] as number));
    const largest = largestOf(logits, start, classCount);
    let sum = 0;
    for (let i = start; i < start + classCount; i += 1) {
      const power = Math.exp(((logits[i] as number) - largest) * scale);
      probabilities[i] = power;
      sum += power;
    }
    for (let i = start; i < start + classCount; i += 1) probabilities[i] = (probabilities[i] as number) / sum;
  }
  return probabilities;
}

/** The largest probability of every row, as `applyTemperature` gives it. */
export function largestProbabilities(
  logits: Float64Array,
  classCount: number,
  temperature: Float64Array,
): Float64Array {
  const probabilities = new Float64Array(temperature.length);
  for (let start = 0, row = 0; row < probabilities.length; start += classCount, row += 1) {
    const scale = 1 / (temperature[row] as number);
    const largest = largestOf(logits, start, classCount);
    let sum = 0;
    for (let i = start; i < start + classCount; i += 1)
      sum += Math.exp(((logits[i] as number) - largest) * scale);
    probabilities[row] = 1 / sum;
  }
  return probabilities;
}

/** Negative natural logarithm of the probability, clipped at 1e-15. */
export function lossOf(probability: number): number {
  return -Math.log(Math.min(1, Math.max(smallestProbability, probability)));
}

/** The largest log loss of a row. */
export const mostLoss = -Math.log(smallestProbability);

/** Like {@link rowLosses}, from logits at a temperature and without a bound: as a function of log T it is smooth. */
export function unboundedLosses(
  logits: Float64Array,
  labels: Int32Array,
  classCount: number,
  temperature: number,
): Float64Array {
  return Float64Array.from(labels, (label, row) => {
    const start = row * classCount;
    const largest = largestOf(logits, start, classCount);
    let powers = 0;
    for (let i = start; i < start + classCount; i += 1) {
      powers += Math.exp(((logits[i] as number) - largest) / temperature);
    }
    return Math.log(powers) - ((logits[start + label] as number) - largest) / temperature;
  });
}

/** The log loss of every row. @param probabilities [rows, classCount], row-major */
export function rowLosses(probabilities: Float64Array, labels: Int32Array, classCount: number): Float64Array {
  return Float64Array.from(labels, (label, row) => lossOf(probabilities[row * classCount + label] as number));
}

/** The largest of `count` values from `start` on. */
export function largestOf(values: Float64Array, start: number, count: number): number {
  let largest = values[start] as number;
  for (let i = start + 1; i < start + count; i += 1) largest = Math.max(largest, values[i] as number);
  return largest;
}
