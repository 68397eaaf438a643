import { checkChannelsLast, edgesOf, layerError, noPads, pairOf, textOf } from "../layers/layer-config.js";
import { placeWindow } from "./emit-convolution.js";
import {
  materialise,
  rawInput,
  reshapeTo,
  soleInput,
  spatialShape,
  type Emitter,
  type LayerContext,
  type Value,
} from "./compile-context.js";

/**
 * ONNX Runtime (1.30, its PadFusion) moves a Pad by zero into the pool behind it, where a maximum ignores it: a window of
 * negative numbers and zeros then gives the wrong answer, and a padding as large as the window does not load at all.
 * Of any other number the Pad stays, and this one is zero to float32 beside every number that matters.
 */
const barelyAboveZero = 1e-30;

const pooling =
  (opType: "MaxPool" | "AveragePool"): Emitter =>
  (context) => {
    const { graph, layer } = context;
    checkChannelsLast(layer);
    const input = materialise(context, rawInput(context), barelyAboveZero);
    const [height, width, channels] = spatialShape(context, input);
    const kernel = pairOf(layer, "pool_size", 2);
    const strides = layer.config["strides"] == null ? kernel : pairOf(layer, "strides", kernel);
    const placed = placeWindow(context, [height, width], { kernel, strides, dilations: [1, 1] });
    // TensorFlow leaves padding out of an average, which is ONNX's default too; out of a maximum both do.
    const name = graph.node(opType, [input.name], { kernel_shape: kernel, strides, pads: [...placed.pads] });
    return { name, shape: [placed.height, placed.width, channels] };
  };

export const emitMaxPooling = pooling("MaxPool");
export const emitAveragePooling = pooling("AveragePool");

const globalPooling =
  (kind: "average" | "max"): Emitter =>
  (context) => {
    checkChannelsLast(context.layer);
    return poolGlobally(context, soleInput(context), kind);
  };

export const emitGlobalAveragePooling = globalPooling("average");
export const emitGlobalMaxPooling = globalPooling("max");

/** [N, C, H, W] to [N, C]. */
export function poolGlobally(context: LayerContext, input: Value, kind: "average" | "max"): Value {
  const [, , channels] = spatialShape(context, input);
  const pooled = context.graph.node(kind === "average" ? "GlobalAveragePool" : "GlobalMaxPool", [input.name]);
  return { name: reshapeTo(context, pooled, [channels]), shape: [channels] };
}

/** Only noted here: a VALID convolution takes the zeros as its own padding, and anything else puts them in first. */
export const emitZeroPadding: Emitter = (context) => {
  checkChannelsLast(context.layer);
  const input = rawInput(context);
  const [height, width, channels] = spatialShape(context, input);
  const [top, left, bottom, right] = edgesOf(context.layer, "padding", 1);
  const before = input.pendingPads ?? noPads;
  return {
    name: input.name,
    shape: [height + top + bottom, width + left + right, channels],
    pendingPads: [before[0] + top, before[1] + left, before[2] + bottom, before[3] + right],
  };
};

export const emitCropping: Emitter = (context) => {
  const { graph, layer } = context;
  checkChannelsLast(layer);
  const input = soleInput(context);
  const [height, width, channels] = spatialShape(context, input);
  const [top, left, bottom, right] = edgesOf(layer, "cropping", 0);
  const shape = [height - top - bottom, width - left - right, channels];
  if (shape.some((dim) => dim < 1)) throw layerError(layer, "it crops everything away", "invalid-argument");
  const list = (hint: string, ...values: number[]): string =>
    graph.constant(hint, "int64", [values.length], BigInt64Array.from(values, BigInt));
  const starts = list("starts", top, left);
  const ends = list("ends", height - bottom, width - right);
  return { name: graph.node("Slice", [input.name, starts, ends, list("axes", 2, 3)]), shape };
};

/** Nearest only: Keras and TensorFlow.js disagree about the pixel centres of the bilinear kind. */
export const emitUpSampling: Emitter = (context) => {
  const { graph, layer } = context;
  checkChannelsLast(layer);
  const interpolation = textOf(layer, "interpolation", "nearest");
  if (interpolation !== "nearest")
    throw layerError(layer, `interpolation is ${interpolation}, and only nearest is compiled`);
  const input = soleInput(context);
  const [height, width, channels] = spatialShape(context, input);
  const [down, across] = pairOf(layer, "size", 2);
  const scales = graph.constant("scales", "float32", [4], Float32Array.of(1, 1, down, across));
  const name = graph.node("Resize", [input.name, "", scales], {
    mode: "nearest",
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: "floor",
  });
  return { name, shape: [height * down, width * across, channels] };
};
