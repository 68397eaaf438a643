import type { GradSaveFunc, Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs-core";
import { TrommelError, type HeadRecipe } from "@trommel/common";
import type { Tensorflow } from "../graph/tensorflow.js";

type Core = Tensorflow["tf"];

/** The head's forward pass in TensorFlow.js, for training: every operation in it has a gradient. */
export interface LogitsInputs {
  readonly weights: Readonly<Record<string, Tensor>>;
  /** [batch, features]; for a linear head in training, dropout has been applied. */
  readonly features: Tensor2D;
  /**
   * In training, factors of dropout: for `se` [batch, features] on the gate's input, for `mlp` one [batch, width] a hidden
   * layer. Empty outside training.
   */
  readonly factors: readonly Tensor2D[];
}

/** @returns [batch, classes] */
export function headLogits(tf: Core, head: HeadRecipe, inputs: LogitsInputs): Tensor2D {
  const { features, factors } = inputs;
  const dense = (x: Tensor2D, name: string) => denseLayer(tf, x, inputs.weights, name);
  const dropped = (x: Tensor2D, index: number) => {
    const factor = factors[index];
    return factor === undefined ? x : tf.mul<Tensor2D>(x, factor);
  };
  switch (head.type) {
    case "se": {
      const squeezed = dense(dropped(features, 0), "squeeze");
      const swish = tf.mul<Tensor2D>(squeezed, tf.sigmoid(squeezed));
      const gate = tf.sigmoid(dense(swish, "excite"));
      return dense(tf.mul<Tensor2D>(features, gate), "output");
    }
    case "linear":
      return dense(features, "output");
    case "mlp": {
      let x = features;
      for (const index of head.hidden.keys()) {
        x = dropped(activate(tf, head.activation, dense(x, `hidden${index + 1}`)), index);
      }
      return dense(x, "output");
    }
  }
}

function activate(tf: Core, activation: "relu" | "swish" | "tanh", x: Tensor2D): Tensor2D {
  switch (activation) {
    case "relu":
      return tf.relu(x);
    case "swish":
      return tf.mul(x, tf.sigmoid(x));
    case "tanh":
      return tf.tanh(x);
  }
}

function denseLayer(tf: Core, x: Tensor2D, weights: LogitsInputs["weights"], name: string): Tensor2D {
  const kernel = weights[`${name}.kernel`] as Tensor2D | undefined;
  if (kernel === undefined)
    throw new TrommelError("internal", `failed to run a head: it has no ${name}.kernel.`);
  const product = product2d(tf, x, kernel);
  const bias = weights[`${name}.bias`] as Tensor1D | undefined;
  return bias === undefined ? product : tf.add<Tensor2D>(product, bias);
}

/**
 * x · kernel, with a gradient that transposes first: the wasm backend has its fast product for plain operands only, and
 * the built-in gradient asks for transposed ones.
 */
function product2d(tf: Core, x: Tensor2D, kernel: Tensor2D): Tensor2D {
  const product = tf.customGrad((a, b, save) => {
    (save as GradSaveFunc)([a as Tensor, b as Tensor]);
    const gradFunc = (dy: Tensor, [left, right]: Tensor[]) => [
      tf.matMul(dy, tf.transpose(right as Tensor)),
      tf.matMul(tf.transpose(left as Tensor), dy),
    ];
    return { value: tf.matMul(a as Tensor, b as Tensor), gradFunc };
  });
  return product(x, kernel) as Tensor2D;
}
