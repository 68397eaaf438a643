import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import {
  checkChannelsLast,
  edgesOf,
  integersOf,
  layerError,
  noPads,
  numberOf,
  pairOf,
  textOf,
} from "../../backbone/layers/layer-config.js";
import { activate, leakyRelu, tunedActivations } from "../tape/activation.js";
import { convolve } from "../tape/convolution.js";
import { dense } from "../tape/dense.js";
import type { Geometry } from "../tape/geometry.js";
import { addAll, concatenate, excite, multiply, reshape, scaleBy, transpose } from "../tape/joining.js";
import { averageGlobally, maximumGlobally, pad, poolAverage, poolMaximum } from "../tape/pooling.js";
import type { Value } from "../values/value.js";
import { reluOf } from "./fusable.js";
import { geometryOf, placed } from "./placement.js";
import type { LayerContext } from "./layer-context.js";

/** Emits a layer and sets its value, or that of the activation that it takes along. */
type LayerOperation = (network: LayerContext, layer: BoundLayer) => void;

/** See `emit-pooling.ts`: the runtime would merge a Pad of zeros into the pool behind it. */
const barelyAboveZero = 1e-30;

const convolution =
  (kernelName: "kernel" | "depthwise_kernel"): LayerOperation =>
  (network, layer) => {
    checkChannelsLast(layer);
    const { value, pads } = network.rawInput(layer);
    const kernel = network.weight(layer, kernelName);
    const groups = kernelName === "kernel" ? numberOf(layer, "groups", 1) : value.channels;
    const isSame = textOf(layer, "padding", "valid").toLowerCase() === "same";
    const input = isSame ? network.input(layer) : value;
    const geometry = geometryOf(layer, input, kernel, { groups, around: isSame ? noPads : pads });
    const weights = { kernel, bias: network.optionalWeight(layer, "bias"), shift: network.shiftFor(layer) };
    network.activated(layer, (activation) => convolve(network.tape, input, weights, geometry, activation));
  };

const separable: LayerOperation = (network, layer) => {
  checkChannelsLast(layer);
  const { value, pads } = network.rawInput(layer);
  const isSame = textOf(layer, "padding", "valid").toLowerCase() === "same";
  const input = isSame ? network.input(layer) : value;
  const depthwise = network.weight(layer, "depthwise_kernel");
  const geometry = geometryOf(layer, input, depthwise, {
    groups: input.channels,
    around: isSame ? noPads : pads,
  });
  const middle = convolve(network.tape, input, { kernel: depthwise }, geometry);
  const kernel = network.weight(layer, "pointwise_kernel");
  const weights = { kernel, bias: network.optionalWeight(layer, "bias"), shift: network.shiftFor(layer) };
  const point: Geometry = {
    ...{ kernel: [1, 1], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], groups: 1 },
    ...{ input: geometry.output, output: geometry.output },
  };
  network.activated(layer, (activation) => convolve(network.tape, middle, weights, point, activation));
};

const fullyConnected: LayerOperation = (network, layer) => {
  const input = network.input(layer);
  if (input.shape.length !== 2) throw layerError(layer, "a Dense layer on a map cannot be tuned");
  const weights = { kernel: network.weight(layer, "kernel"), bias: network.optionalWeight(layer, "bias") };
  const value = dense(network.tape, input, weights);
  network.set(layer, activate(network.tape, value, activationOf(layer)));
};

const pooling =
  (kind: "maximum" | "average"): LayerOperation =>
  (network, layer) => {
    checkChannelsLast(layer);
    const { value, pads } = network.rawInput(layer);
    const hasPads = pads.some((size) => size !== 0);
    const input = hasPads ? pad(network.tape, value, pads, barelyAboveZero) : value;
    const kernel = pairOf(layer, "pool_size", 2);
    const strides = layer.config["strides"] == null ? kernel : pairOf(layer, "strides", kernel);
    const geometry = placed(
      layer,
      input,
      { kernel, strides, dilations: [1, 1] },
      { groups: 1, around: noPads },
    );
    const pooled = kind === "maximum" ? poolMaximum : poolAverage;
    network.set(layer, pooled(network.tape, input, geometry));
  };

const globalPooling =
  (pooled: typeof averageGlobally): LayerOperation =>
  (network, layer) => {
    checkChannelsLast(layer);
    network.set(layer, pooled(network.tape, network.input(layer)));
  };

const activation: LayerOperation = (network, layer) => {
  network.set(layer, activate(network.tape, network.input(layer), activationOf(layer)));
};

const relu: LayerOperation = (network, layer) => {
  const kind = reluOf(layer);
  if (kind === undefined)
    throw layerError(layer, "a ReLU with a slope, a threshold or a bound other than 6 cannot be tuned");
  network.set(layer, activate(network.tape, network.input(layer), kind));
};

const leaky: LayerOperation = (network, layer) => {
  const slope = numberOf(layer, "alpha", numberOf(layer, "negative_slope", 0.3));
  network.set(layer, leakyRelu(network.tape, network.input(layer), slope));
};

const product: LayerOperation = (network, layer) => {
  const inputs = network.inputs(layer);
  const [first, second, ...others] = inputs;
  if (first === undefined || second === undefined || others.length > 0)
    throw layerError(layer, "a product of other than two values cannot be tuned");
  const { tape } = network;
  if (sameShape(first, second)) network.set(layer, multiply(tape, first, second));
  else if (isFactor(second, first)) network.set(layer, excite(tape, first, second));
  else if (isFactor(first, second)) network.set(layer, excite(tape, second, first));
  else throw layerError(layer, "its inputs do not fit each other");
};

const sum =
  (isMean: boolean): LayerOperation =>
  (network, layer) => {
    const inputs = network.inputs(layer);
    const [first, ...others] = inputs;
    if (first === undefined || !others.every((other) => sameShape(first, other)))
      throw layerError(layer, "a sum of values of different shapes cannot be tuned");
    const total = addAll(network.tape, inputs);
    network.set(layer, isMean ? scaleBy(network.tape, total, 1 / inputs.length) : total);
  };

const concatenation: LayerOperation = (network, layer) => {
  const inputs = network.inputs(layer);
  const rank = inputs[0]?.shape.length ?? 0;
  const axis = numberOf(layer, "axis", -1);
  if (axis !== -1 && axis !== rank - 1)
    throw layerError(layer, `a concatenation along axis ${axis} cannot be tuned`);
  network.set(layer, concatenate(network.tape, inputs));
};

/** To and from [1, 1, C], which squeeze-and-excitation uses, and of maps by way of Keras's order. */
const reshaping: LayerOperation = (network, layer) => {
  const { tape } = network;
  const input = network.input(layer);
  const size = input.channels * input.pixels;
  const target = layer.className === "Flatten" ? [size] : integersOf(layer, "target_shape");
  const known = target.filter((length) => length !== -1).reduce((all, length) => all * length, 1);
  const shape = target.map((length) => (length === -1 ? size / known : length));
  if (shape.length !== 1 && shape.length !== 3)
    throw layerError(layer, `a reshape to [${target.join(", ")}] cannot be tuned`);
  const inKerasOrder = input.pixels === 1 ? input : transpose(tape, input, [0, 2, 3, 1]);
  const [height = 1, width = 1, channels = 1] = shape;
  if (shape.length === 1) network.set(layer, reshape(tape, inKerasOrder, [tape.batch, size]));
  else if (height * width === 1)
    network.set(layer, reshape(tape, inKerasOrder, [tape.batch, channels, 1, 1]));
  else
    network.set(
      layer,
      transpose(tape, reshape(tape, inKerasOrder, [tape.batch, height, width, channels]), [0, 3, 1, 2]),
    );
};

const zeroPadding: LayerOperation = (network, layer) => {
  checkChannelsLast(layer);
  const { value, pads } = network.rawInput(layer);
  const [top, left, bottom, right] = edgesOf(layer, "padding", 1);
  network.set(layer, value, [pads[0] + top, pads[1] + left, pads[2] + bottom, pads[3] + right]);
};

const cropping: LayerOperation = (network, layer) => {
  checkChannelsLast(layer);
  const [top, left, bottom, right] = edgesOf(layer, "cropping", 0);
  network.set(layer, pad(network.tape, network.input(layer), [-top, -left, -bottom, -right]));
};

/** Every layer type that can be tuned or tuned through, after canonical-layers.ts. */
export const layerOperations: Readonly<Record<string, LayerOperation>> = {
  Conv2D: convolution("kernel"),
  DepthwiseConv2D: convolution("depthwise_kernel"),
  SeparableConv2D: separable,
  Dense: fullyConnected,
  BatchNormalization: (network, layer) => {
    network.normalize(layer, network.input(layer));
  },
  Activation: activation,
  ReLU: relu,
  LeakyReLU: leaky,
  MaxPooling2D: pooling("maximum"),
  AveragePooling2D: pooling("average"),
  GlobalAveragePooling2D: globalPooling(averageGlobally),
  GlobalMaxPooling2D: globalPooling(maximumGlobally),
  ZeroPadding2D: zeroPadding,
  Cropping2D: cropping,
  Dropout: (network, layer) => {
    network.set(layer, network.input(layer));
  },
  Add: sum(false),
  Average: sum(true),
  Multiply: product,
  Concatenate: concatenation,
  Reshape: reshaping,
  Flatten: reshaping,
};

function activationOf(layer: BoundLayer): string {
  const name = textOf(layer, "activation", "linear");
  if (tunedActivations.includes(name)) return name;
  throw layerError(
    layer,
    `the activation ${name} cannot be tuned through (legal: ${tunedActivations.join(", ")})`,
  );
}

function sameShape(a: Value, b: Value): boolean {
  return a.shape.length === b.shape.length && a.shape.every((size, axis) => size === b.shape[axis]);
}

/** Whether a value has one number for each image and channel of a map. */
function isFactor(value: Value, map: Value): boolean {
  return (
    map.shape.length === 4 &&
    value.shape.length === 4 &&
    value.channels === map.channels &&
    value.pixels === 1
  );
}
