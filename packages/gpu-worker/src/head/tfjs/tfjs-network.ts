import type { Tensor2D } from "@tensorflow/tfjs-core";
import { loadTensorflow } from "../../graph/tensorflow.js";
import type { LinearNetwork } from "../solver/linear-objective.js";

/** The passes of a linear head in TensorFlow.js: the reference. */
export async function openTfjsNetwork(featureCount: number, classCount: number): Promise<LinearNetwork> {
  const { tf } = await loadTensorflow();
  return {
    slopes: (kernel, bias, { rows, features, targets, rowWeights }) => {
      let found = { logarithms: bias, kernel: bias, bias };
      // tidy() must not return arrays: it would search each of their elements for tensors.
      tf.tidy(() => {
        const x = tf.tensor2d(features, [rows, featureCount]);
        const weights = tf.transpose(tf.tensor2d(kernel, [classCount, featureCount]));
        const logits: Tensor2D = tf.add(tf.matMul(x, weights), tf.tensor1d(bias));
        const logarithms = tf.logSoftmax(logits);
        const excess: Tensor2D = tf.sub(tf.exp(logarithms), tf.tensor2d(targets, [rows, classCount]));
        const slopes: Tensor2D = tf.mul(excess, tf.tensor2d(rowWeights, [rows, 1]));
        found = {
          logarithms: logarithms.dataSync<"float32">(),
          kernel: tf.matMul(tf.transpose(slopes), x).dataSync<"float32">(),
          bias: tf.sum(slopes, 0).dataSync<"float32">(),
        };
      });
      return Promise.resolve(found);
    },
    release: () => Promise.resolve(),
  };
}
