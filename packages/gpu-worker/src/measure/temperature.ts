import { largestOf } from "./softmax.js";

export const temperatureBounds = { least: 0.05, most: 20 };

/** Relative change of the temperature at which the search ends. */
const tolerance = 1e-10;
const mostSteps = 200;

/**
 * What the prior adds to the summed log loss at a temperature: 1/T − 1 − log(1/T), the negative logarithm of the Gamma density
 * with shape 2 and mode 1. It weighs about one image, and keeps T finite where no answer is wrong: otherwise the loss falls until
 * T is 0. Convex in 1/T, as the loss is.
 */
export function temperaturePrior(temperature: number): number {
  return 1 / temperature - 1 + Math.log(temperature);
}

/** The derivative of the prior by 1/T, and its derivative. */
function priorSlope(inverse: number): ValueAndSlope {
  return [1 - 1 / inverse, 1 / (inverse * inverse)];
}

/**
 * The temperature T that minimises the summed log loss of softmax(logits / T) (Guo et al. 2017) and `temperaturePrior`, from
 * 0.05 to 20.
 *
 * The sum is convex in 1/T, and the loss has the derivative Σ w · (E[logit] − true class's logit), where E is the mean under the
 * softmax: Newton's steps find its zero, halving a bracket where they leave it. If the loss is the same at all
 * temperatures (no row, or all logits of a row equal), T is 1.
 *
 * @param logits [rows, classCount], row-major
 * @param weights of the rows, zero or more. @default 1 each
 */
export function fitTemperature(
  logits: Float64Array,
  labels: Int32Array,
  classCount: number,
  weights?: Float64Array,
): number {
  const slopeAt = (inverse: number): ValueAndSlope => {
    const [value, slope] = lossSlope(logits, labels, classCount, inverse, weights);
    const [priorValue, priorsSlope] = priorSlope(inverse);
    return [value + priorValue, slope + priorsSlope];
  };
  return 1 / zeroOfRising(slopeAt, 1 / temperatureBounds.most, 1 / temperatureBounds.least);
}

/**
 * Whether the loss alone has its minimum between the bounds. Otherwise it only falls or rises there, as it does if every answer is
 * right, and the prior decides the temperature.
 * @param logits [rows, classCount], row-major
 */
export function isTemperatureDetermined(
  logits: Float64Array,
  labels: Int32Array,
  classCount: number,
): boolean {
  const slopeAt = (temperature: number): number =>
    lossSlope(logits, labels, classCount, 1 / temperature, undefined)[0];
  return slopeAt(temperatureBounds.most) < 0 && slopeAt(temperatureBounds.least) > 0;
}

/**
 * For each fold the temperature fitted on the rows of all others.
 * @param foldOf the fold of each row, from 0 to `folds` − 1
 */
export function crossFittedTemperatures(
  logits: Float64Array,
  labels: Int32Array,
  classCount: number,
  foldOf: Int32Array,
  folds: number,
  weights?: Float64Array,
): Float64Array {
  return Float64Array.from({ length: folds }, (_, fold) => {
    const others = Float64Array.from(foldOf, (own, row) => (own === fold ? 0 : (weights?.[row] ?? 1)));
    return fitTemperature(logits, labels, classCount, others);
  });
}

/** The temperature of each row: that of its fold. */
export function temperatureOfRows(temperatures: Float64Array, foldOf: Int32Array): Float64Array {
  const ofRows = new Float64Array(foldOf.length);
  for (let row = 0; row < ofRows.length; row += 1)
    ofRows[row] = temperatures[foldOf[row] as number] as number;
  return ofRows;
}

/** A function's value and derivative. */
type ValueAndSlope = readonly [value: number, slope: number];

/**
 * The zero of a function that never falls, between two positive bounds: by Newton's steps, and by the geometric mean of a
 * bracket where they leave it. A bound if the function has one sign between them, 1 if it is flat there.
 */
function zeroOfRising(at: (x: number) => ValueAndSlope, least: number, most: number): number {
  let x = Math.min(most, Math.max(least, 1));
  let current = at(x);
  if (current[0] === 0) return x;
  if (current[0] < 0 ? at(most)[0] <= 0 : at(least)[0] >= 0) return current[0] < 0 ? most : least;
  let [low, high] = [least, most];
  for (let step = 0; step < mostSteps && current[0] !== 0; step += 1) {
    if (current[0] < 0) low = x;
    else high = x;
    const newton = x - current[0] / current[1];
    const next = newton > low && newton < high ? newton : Math.sqrt(low * high);
    if (Math.abs(next - x) <= tolerance * x) return next;
    x = next;
    current = at(x);
  }
  return x;
}

/**
 * Σ w · (E[logit] − true class's logit) and its derivative by 1/T, Σ w · Var[logit]. Logits less the row's largest: the
 * differences of a row with equal logits are exactly zero.
 */
function lossSlope(
  logits: Float64Array,
  labels: Int32Array,
  classCount: number,
  inverse: number,
  weights: Float64Array | undefined,
): ValueAndSlope {
  let value = 0;
  let slope = 0;
  for (let row = 0, start = 0; row < labels.length; row += 1, start += classCount) {
    const weight = weights === undefined ? 1 : (weights[row] as number);
    if (weight === 0) continue;
    const largest = largestOf(logits, start, classCount);
    let [powers, first, second] = [0, 0, 0];
    for (let i = start; i < start + classCount; i += 1) {
      const logit = (logits[i] as number) - largest;
      const power = Math.exp(logit * inverse);
      powers += power;
      first += power * logit;
      second += power * logit * logit;
    }
    const mean = first / powers;
    value += weight * (mean - ((logits[start + (labels[row] as number)] as number) - largest));
    slope += weight * (second / powers - mean * mean);
  }
  return [value, slope];
}
