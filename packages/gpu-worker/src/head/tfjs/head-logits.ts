import type { GradSaveFunc, Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs-core";
import { TrommelError, type HeadRecipe } from "@trommel/common";
import type { Tensorflow } from "../../graph/tensorflow.js";
import type { FactorPlace } from "../noise/dropout-factors.js";
import { hiddenLayer } from "../model/head-model.js";

type Core = Tensorflow["tf"];

/** The head's forward pass in TensorFlow.js, for training: every operation in it has a gradient. */
export interface LogitsInputs {
  readonly weights: Readonly<Record<string, Tensor>>;
  /** [batch, features] */
  readonly features: Tensor2D;
  /** In training, factors of dropout by place, each [batch, width]. Empty outside training. */
  readonly factors: Readonly<Partial<Record<FactorPlace, Tensor2D>>>;
}

/** @returns [batch, classes] */
export function headLogits(tf: Core, head: HeadRecipe, inputs: LogitsInputs): Tensor2D {
  const { features, factors } = inputs;
  const dense = (x: Tensor2D, name: string) => denseLayer(tf, product2d, x, inputs.weights, name);
  const denseOfFeatures = (x: Tensor2D, name: string) =>
    denseLayer(tf, productOfFeatures, x, inputs.weights, name);
  const dropped = (x: Tensor2D, place: FactorPlace) => {
    const factor = factors[place];
    return factor === undefined ? x : tf.mul<Tensor2D>(x, factor);
  };
  switch (head.type) {
    case "se": {
      const squeezed = activate(
        tf,
        head.activation,
        denseOfFeatures(dropped(features, "features"), "squeeze"),
      );
      const gate = tf.sigmoid(dense(squeezed, "excite"));
      return dense(dropped(tf.mul<Tensor2D>(features, gate), "gated"), "output");
    }
    case "linear":
      return denseOfFeatures(dropped(features, "features"), "output");
    case "mlp": {
      let x = features;
      for (const index of head.hidden.keys()) {
        const layer = hiddenLayer(index);
        const product = (index === 0 ? denseOfFeatures : dense)(x, layer);
        x = dropped(activate(tf, head.activation, product), layer);
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

function denseLayer(
  tf: Core,
  multiply: typeof product2d,
  x: Tensor2D,
  weights: LogitsInputs["weights"],
  name: string,
): Tensor2D {
  const kernel = weights[`${name}.kernel`] as Tensor2D | undefined;
  if (kernel === undefined) throw new TrommelError("internal", `cannot run a head: it has no ${name}.kernel`);
  const product = multiply(tf, x, kernel);
  const bias = weights[`${name}.bias`] as Tensor1D | undefined;
  return bias === undefined ? product : tf.add<Tensor2D>(product, bias);
}

/**
 * x · kernel, with a gradient that transposes first: the wasm backend is fast only for plain operands, and the built-in
 * gradient passes transposed ones.
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

/** Like {@link product2d}, without the gradient of x, which would cost as much as the kernel's and is not needed. */
function productOfFeatures(tf: Core, x: Tensor2D, kernel: Tensor2D): Tensor2D {
  const product = tf.customGrad((b, save) => {
    (save as GradSaveFunc)([x]);
    const gradFunc = (dy: Tensor, [left]: Tensor[]) => tf.matMul(tf.transpose(left as Tensor), dy);
    return { value: tf.matMul(x, b as Tensor), gradFunc };
  });
  return product(kernel) as Tensor2D;
}
