import type { HeadRecipe, HeadWeights } from "@trommel/common";
import { TrommelError } from "@trommel/common";
import { checkHeadWeights, hiddenLayer, weightData } from "./head-model.js";

/**
 * The head's logits in plain TypeScript, float64 inside: a check of ONNX Runtime and TensorFlow.js.
 * @param features [rowCount, features], row-major
 * @returns [rowCount, classes]
 * @throws TrommelError `corrupt` when the weights are not those of the head, `internal` when the length does not fit
 */
export function predictLogits(
  head: HeadRecipe,
  weights: HeadWeights,
  features: Float32Array,
  rowCount: number,
): Float32Array {
  const { featureCount, classCount } = checkHeadWeights(head, weights);
  if (features.length !== rowCount * featureCount) {
    throw new TrommelError(
      "internal",
      `cannot run a head: ${features.length} values given for ${rowCount} rows of ${featureCount} features`,
    );
  }
  const logits = new Float32Array(rowCount * classCount);
  for (let row = 0; row < rowCount; row += 1) {
    const x = Float64Array.from(features.subarray(row * featureCount, (row + 1) * featureCount));
    logits.set(rowLogits(head, weights, x), row * classCount);
  }
  return logits;
}

/** Class probabilities; see {@link predictLogits}. */
export function predictProbabilities(
  head: HeadRecipe,
  weights: HeadWeights,
  features: Float32Array,
  rowCount: number,
): Float32Array {
  const logits = predictLogits(head, weights, features, rowCount);
  return rowCount === 0 ? logits : softmaxRows(logits, logits.length / rowCount);
}

/** @param logits [rows, classCount], row-major */
export function softmaxRows(logits: Float32Array, classCount: number): Float32Array {
  const probabilities = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += classCount) {
    const row = logits.subarray(start, start + classCount);
    const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const powers = Float64Array.from(row, (value) => Math.exp(value - largest));
    const sum = powers.reduce((a, b) => a + b, 0);
    for (const [j, power] of powers.entries()) probabilities[start + j] = power / sum;
  }
  return probabilities;
}

function rowLogits(head: HeadRecipe, weights: HeadWeights, x: Float64Array): Float64Array {
  const dense = (input: Float64Array, name: string) => denseRow(input, weights, name);
  switch (head.type) {
    case "se": {
      const gate = dense(dense(x, "squeeze").map(activations[head.activation]), "excite").map(sigmoid);
      return dense(
        x.map((value, i) => value * (gate[i] as number)),
        "output",
      );
    }
    case "linear":
      return dense(x, "output");
    case "mlp": {
      const activation = activations[head.activation];
      let hidden = x;
      for (const index of head.hidden.keys()) hidden = dense(hidden, hiddenLayer(index)).map(activation);
      return dense(hidden, "output");
    }
  }
}

function denseRow(x: Float64Array, weights: HeadWeights, name: string): Float64Array {
  const kernel = weightData(weights, `${name}.kernel`);
  const outputs = kernel.length / x.length;
  const bias = weights[`${name}.bias`]?.data;
  const result = bias === undefined ? new Float64Array(outputs) : Float64Array.from(bias);
  for (let i = 0; i < x.length; i += 1) {
    const value = x[i] as number;
    const start = i * outputs;
    for (let j = 0; j < outputs; j += 1) {
      result[j] = (result[j] as number) + value * (kernel[start + j] as number);
    }
  }
  return result;
}

const activations = { relu: (value: number) => Math.max(value, 0), swish, tanh: Math.tanh };

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value));
}

function swish(value: number): number {
  return value * sigmoid(value);
}
