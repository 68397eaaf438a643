import type { Pooling } from "@trommel/common";
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
 * ONNX Runtime (1.30, its PadFusion) merges a Pad with zeros into the following pool, where a maximum ignores the padding: a
 * window of negative numbers and zeros then gives a wrong result, and a padding as large as the window does not load at all.
 * A Pad with any other value is kept, and this value is negligible in float32 next to every relevant number.
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
    // TensorFlow excludes padding from an average, which is also ONNX's default; both exclude it from a maximum.
    const name = graph.node(opType, [input.name], { kernel_shape: kernel, strides, pads: [...placed.pads] });
    return { name, shape: [placed.height, placed.width, channels] };
  };

export const emitMaxPooling = pooling("MaxPool");
export const emitAveragePooling = pooling("AveragePool");

const globalPooling =
  (kind: Pooling): Emitter =>
  (context) => {
    checkChannelsLast(context.layer);
    return poolGlobally(context, soleInput(context), kind);
  };

export const emitGlobalAveragePooling = globalPooling("average");
export const emitGlobalMaxPooling = globalPooling("max");

/** [N, C, H, W] to [N, C]. */
export function poolGlobally(context: LayerContext, input: Value, kind: Pooling): Value {
  const [, , channels] = spatialShape(context, input);
  const pooled = context.graph.node(kind === "average" ? "GlobalAveragePool" : "GlobalMaxPool", [input.name]);
  return { name: reshapeTo(context, pooled, [channels]), shape: [channels] };
}

/** Only records the zeros: a VALID convolution uses them as its own padding, any other layer adds them first. */
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
  if (shape.some((dim) => dim < 1)) throw layerError(layer, "it crops the whole input", "invalid-argument");
  const list = (hint: string, ...values: number[]): string =>
    graph.constant(hint, "int64", [values.length], BigInt64Array.from(values, BigInt));
  const starts = list("starts", top, left);
  const ends = list("ends", height - bottom, width - right);
  return { name: graph.node("Slice", [input.name, starts, ends, list("axes", 2, 3)]), shape };
};

/** Nearest only: for bilinear, Keras and TensorFlow.js use different pixel centres. */
export const emitUpSampling: Emitter = (context) => {
  const { graph, layer } = context;
  checkChannelsLast(layer);
  const interpolation = textOf(layer, "interpolation", "nearest");
  if (interpolation !== "nearest")
    throw layerError(layer, `interpolation is ${interpolation} (legal: nearest)`);
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
