import type { Tensor, Tensor2D, Tensor4D } from "@tensorflow/tfjs-core";
import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import {
  checkChannelsLast,
  layerError,
  numberOf,
  pairOf,
  textOf,
} from "../../backbone/layers/layer-config.js";
import type { Tensorflow } from "../../graph/tensorflow.js";
import { groupEpsilon, groupsOf, type Norm } from "../layers/trained-weights.js";

type Core = Tensorflow["tf"];

export interface BatchMoments {
  readonly mean: Tensor;
  /** With Bessel's correction. */
  readonly variance: Tensor;
}

/** A layer with what it computes from. */
export interface LayerCall {
  readonly tf: Core;
  readonly layer: BoundLayer;
  readonly input: Tensor;
  /** Undefined if the layer has none of that name. */
  readonly weight: (name: string) => Tensor | undefined;
  /** `frozen` too for a layer that does not train. */
  readonly norm: Norm;
  /** Takes what a normalisation measured of the batch. */
  readonly onMeasured: (moments: BatchMoments) => void;
}

/**
 * The layers whose weights may train, and the pool whose gradient in TensorFlow.js is wrong, by its differentiable operations
 * and without the layer's activation. Every other layer runs as TensorFlow.js has it.
 */
export const tfjsOperations: Readonly<Record<string, (call: LayerCall) => Tensor>> = {
  Conv2D: (call) => biased(call, convolved(call, call.input as Tensor4D, "kernel")),
  DepthwiseConv2D: (call) => biased(call, convolved(call, call.input as Tensor4D, "depthwise_kernel")),
  SeparableConv2D: (call) => {
    const middle = convolved(call, call.input as Tensor4D, "depthwise_kernel");
    return biased(call, call.tf.conv2d(middle, required(call, "pointwise_kernel") as Tensor4D, 1, "valid"));
  },
  Dense: (call) => {
    if (call.input.rank !== 2) throw layerError(call.layer, "a Dense layer on a map cannot be tuned");
    return biased(call, call.tf.matMul(call.input, required(call, "kernel")));
  },
  BatchNormalization: normalized,
  AveragePooling2D: averagePooled,
};

function convolved(call: LayerCall, input: Tensor4D, name: "kernel" | "depthwise_kernel"): Tensor4D {
  const { tf, layer } = call;
  checkChannelsLast(layer);
  const strides = pairOf(layer, "strides", 1);
  const kernel = dilated(tf, required(call, name) as Tensor4D, pairOf(layer, "dilation_rate", 1));
  const convolve = name === "kernel" ? tf.conv2d : tf.depthwiseConv2d;
  return convolve(input, kernel, strides, paddingOf(layer));
}

/** The kernel with zeros between its places: TensorFlow.js has no gradient of a dilated convolution. */
function dilated(tf: Core, kernel: Tensor4D, [down, across]: readonly [number, number]): Tensor4D {
  if (down === 1 && across === 1) return kernel;
  const [height, width, ins, outs] = kernel.shape;
  const [tall, wide] = [(height - 1) * down + 1, (width - 1) * across + 1];
  const places = new Float32Array(tall * wide * height * width);
  for (let place = 0; place < height * width; place += 1) {
    const [row, column] = [Math.floor(place / width) * down, (place % width) * across];
    places[(row * wide + column) * height * width + place] = 1;
  }
  const spread = tf.tensor2d(places, [tall * wide, height * width]);
  const rows: Tensor2D = tf.reshape(kernel, [height * width, ins * outs]);
  return tf.reshape(tf.matMul(spread, rows), [tall, wide, ins, outs]);
}

function biased(call: LayerCall, value: Tensor): Tensor {
  const bias = call.weight("bias");
  return bias === undefined ? value : call.tf.add(value, bias);
}

function normalized(call: LayerCall): Tensor {
  const { tf, layer, input, norm } = call;
  const channels = input.shape.at(-1) ?? 0;
  const epsilon = numberOf(layer, "epsilon", 1e-3);
  if (norm === "frozen") {
    const [mean, variance] = [required(call, "moving_mean"), required(call, "moving_variance")];
    return scaled(call, standardized(tf, input, { mean, variance, epsilon }));
  }
  if (norm === "batch") {
    const moments = tf.moments(input, [...input.shape.keys()].slice(0, -1));
    const count = input.size / channels;
    const variance = tf.mul(moments.variance, count / Math.max(count - 1, 1));
    call.onMeasured({ mean: moments.mean, variance });
    return scaled(call, standardized(tf, input, { ...moments, epsilon }));
  }
  const groups = groupsOf(channels);
  const grouped = tf.reshape(input, [input.shape[0], -1, groups, channels / groups]);
  const moments = tf.moments(grouped, [1, 3], true);
  const value = standardized(tf, grouped, { ...moments, epsilon: groupEpsilon });
  return scaled(call, tf.reshape(value, input.shape));
}

function standardized(
  tf: Core,
  value: Tensor,
  { mean, variance, epsilon }: { readonly mean: Tensor; readonly variance: Tensor; readonly epsilon: number },
): Tensor {
  return tf.mul(tf.sub(value, mean), tf.rsqrt(tf.add(variance, epsilon)));
}

function scaled(call: LayerCall, value: Tensor): Tensor {
  const { tf } = call;
  const [gamma, beta] = [call.weight("gamma"), call.weight("beta")];
  const times = gamma === undefined ? value : tf.mul(value, gamma);
  return beta === undefined ? times : tf.add(times, beta);
}

/**
 * The mean over each window's pixels inside the map. TensorFlow.js's gradient of a pool with padding divides by the whole
 * window at the edges too; that of a pool over a padded map is right.
 */
function averagePooled({ tf, layer, input }: LayerCall): Tensor {
  checkChannelsLast(layer);
  const pool = pairOf(layer, "pool_size", 2);
  const strides = layer.config["strides"] == null ? pool : pairOf(layer, "strides", pool);
  const map = input as Tensor4D;
  const { padInfo } = tf.backend_util.computePool2DInfo(map.shape, pool, strides, 1, paddingOf(layer));
  const pooled = (value: Tensor4D): Tensor4D => {
    const padded = tf.pad(value, [
      [0, 0],
      [padInfo.top, padInfo.bottom],
      [padInfo.left, padInfo.right],
      [0, 0],
    ]);
    return tf.avgPool(padded, pool, strides, "valid");
  };
  const [, height, width] = map.shape;
  return tf.div(pooled(map), pooled(tf.ones([1, height, width, 1])));
}

function paddingOf(layer: BoundLayer): "same" | "valid" {
  return textOf(layer, "padding", "valid").toLowerCase() === "same" ? "same" : "valid";
}

function required({ layer, weight }: LayerCall, name: string): Tensor {
  const value = weight(name);
  if (value === undefined) throw layerError(layer, `it has no weight ${name}`, "corrupt");
  return value;
}
