import type { GradSaveFunc, Tensor, Tensor2D } from "@tensorflow/tfjs-core";
import type { Tensorflow } from "../graph/tensorflow.js";
import { argmax } from "./evaluate.js";

type Core = Tensorflow["tf"];

/**
 * Target distributions: 1 − s + s/classes at the label and s/classes elsewhere (Szegedy et al. 2016).
 * @returns [labels.length, classCount]
 */
export function smoothedTargets(labels: Int32Array, classCount: number, smoothing: number): Float32Array {
  const targets = new Float32Array(labels.length * classCount).fill(smoothing / classCount);
  for (const [row, label] of labels.entries()) {
    targets[row * classCount + label] = 1 - smoothing + smoothing / classCount;
  }
  return targets;
}

/** Mean cross-entropy as a differentiable scalar; its gradient (softmax − target) / rows is given whole, not traced. */
export function meanCrossEntropy(tf: Core, logits: Tensor2D, targets: Tensor2D): Tensor {
  const rows = logits.shape[0];
  const loss = tf.customGrad((input, save) => {
    const logProbabilities = tf.logSoftmax(input as Tensor2D);
    (save as GradSaveFunc)([logProbabilities, targets]);
    const value = tf.neg(tf.div(tf.sum(tf.mul(logProbabilities, targets)), rows));
    const gradFunc = (dy: Tensor, [saved, wanted]: Tensor[]) =>
      tf.mul(tf.div(tf.sub(tf.exp(saved as Tensor), wanted as Tensor), rows), dy);
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
    let best = start;
    let sum = 0;
    for (let i = start; i < start + classCount; i += 1) {
      const value = logarithms[i] as number;
      sum += value;
      if (value > (logarithms[best] as number)) best = i;
    }
    const own = logarithms[label] as number;
    loss -= smoothing === 0 ? own : (1 - smoothing) * own + (smoothing / classCount) * sum;
    if (best === label) correct += 1;
  }
  return { loss, correct };
}
