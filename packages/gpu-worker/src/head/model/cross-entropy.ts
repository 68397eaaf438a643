import type { GradSaveFunc, Tensor, Tensor2D } from "@tensorflow/tfjs-core";
import type { Tensorflow } from "../../graph/tensorflow.js";
import { argmax } from "../../measure/classes.js";

type Core = Tensorflow["tf"];

/**
 * Target distributions: 1 − s + s/classes at the label and s/classes elsewhere (Szegedy et al. 2016).
 * @returns [labels.length, classCount]
 */
export function smoothedTargets(labels: Int32Array, classCount: number, smoothing: number): Float32Array {
  const targets = new Float32Array(labels.length * classCount);
  fillTargets(targets, labels, classCount, smoothing);
  return targets;
}

/** Like {@link smoothedTargets}, into the caller's memory. */
export function fillTargets(
  targets: Float32Array,
  labels: Int32Array,
  classCount: number,
  smoothing: number,
): void {
  targets.fill(smoothing / classCount);
  for (let row = 0; row < labels.length; row += 1) {
    targets[row * classCount + (labels[row] as number)] = 1 - smoothing + smoothing / classCount;
  }
}

/**
 * Mean of weight times cross-entropy as a differentiable scalar, with its gradient weight · (softmax − target) / rows in closed
 * form.
 * @param rowWeights [rows, 1]; without them the weights are one
 */
export function meanCrossEntropy(
  tf: Core,
  logits: Tensor2D,
  targets: Tensor2D,
  rowWeights?: Tensor2D,
): Tensor {
  const rows = logits.shape[0];
  const weighted = (values: Tensor) => (rowWeights === undefined ? values : tf.mul(values, rowWeights));
  const loss = tf.customGrad((input, save) => {
    const logProbabilities = tf.logSoftmax(input as Tensor2D);
    (save as GradSaveFunc)([logProbabilities, targets]);
    const value = tf.neg(tf.div(tf.sum(weighted(tf.mul(logProbabilities, targets))), rows));
    const gradFunc = (dy: Tensor, [saved, wanted]: Tensor[]) =>
      tf.mul(tf.div(weighted(tf.sub(tf.exp(saved as Tensor), wanted as Tensor)), rows), dy);
    return { value, gradFunc };
  });
  return loss(logits);
}

export interface LossFigures {
  /** Summed over rows. */
  readonly loss: number;
  readonly correct: number;
}

/**
 * The same loss in float64, with the count of right answers.
 * @param logits [labels.length, classCount]
 */
export function lossFigures(
  logits: Float32Array,
  labels: Int32Array,
  classCount: number,
  smoothing: number,
): LossFigures {
  let loss = 0;
  let correct = 0;
  for (const [row, label] of labels.entries()) {
    const values = logits.subarray(row * classCount, (row + 1) * classCount);
    const best = argmax(values);
    const largest = values[best] as number;
    let powers = 0;
    let sum = 0;
    for (const value of values) {
      powers += Math.exp(value - largest);
      sum += value - largest;
    }
    const own = (values[label] as number) - largest;
    loss += Math.log(powers) - (1 - smoothing) * own - (smoothing / classCount) * sum;
    if (best === label) correct += 1;
  }
  return { loss, correct };
}

/**
 * The same figures from log-probabilities.
 * @param logarithms [labels.length, classCount]
 */
export function figuresOfLogarithms(
  logarithms: Float32Array,
  labels: Int32Array,
  classCount: number,
  smoothing: number,
): LossFigures {
  let loss = 0;
  let correct = 0;
  for (let row = 0; row < labels.length; row += 1) {
    const start = row * classCount;
    const label = start + (labels[row] as number);
    const own = logarithms[label] as number;
    let greater = 0;
    // The first of equals is the answer.
    for (let i = start; i < label; i += 1) greater += (logarithms[i] as number) >= own ? 1 : 0;
    for (let i = label + 1; i < start + classCount; i += 1)
      greater += (logarithms[i] as number) > own ? 1 : 0;
    if (greater === 0) correct += 1;
    loss -= (1 - smoothing) * own;
    if (smoothing !== 0) loss -= (smoothing / classCount) * sumOf(logarithms, start, start + classCount);
  }
  return { loss, correct };
}

export interface WeightedTargets {
  readonly labels: Int32Array;
  readonly targets: Float32Array;
  readonly rowWeights: Float32Array | undefined;
}

/**
 * Loss and right answers of rows that are mixed or weighted: weight times the cross-entropy with the target, in float64.
 * @param logarithms log-probabilities [labels.length, classCount]
 * @param targets [labels.length, classCount]
 */
export function figuresOfTargets(
  logarithms: Float32Array,
  { labels, targets, rowWeights }: WeightedTargets,
  classCount: number,
): LossFigures {
  let loss = 0;
  for (let row = 0; row < labels.length; row += 1) {
    let own = 0;
    for (let i = row * classCount; i < (row + 1) * classCount; i += 1) {
      own -= (targets[i] as number) * (logarithms[i] as number);
    }
    loss += rowWeights === undefined ? own : own * (rowWeights[row] as number);
  }
  return { loss, correct: figuresOfLogarithms(logarithms, labels, classCount, 0).correct };
}

/** @param logits [rows, classCount] @returns log-probabilities of the same shape */
export function logarithmsOf(logits: Float32Array, classCount: number): Float32Array {
  const logarithms = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += classCount) {
    const row = logits.subarray(start, start + classCount);
    const largest = row[argmax(row)] as number;
    const powers = row.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    const normalizer = largest + Math.log(powers);
    for (const [i, value] of row.entries()) logarithms[start + i] = value - normalizer;
  }
  return logarithms;
}

function sumOf(values: Float32Array, start: number, end: number): number {
  let sum = 0;
  for (let i = start; i < end; i += 1) sum += values[i] as number;
  return sum;
}
