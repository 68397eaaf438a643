import type { GraphBuilder } from "../../graph/graph-builder.js";
import { layerError, type EdgePairs } from "../layers/layer-config.js";
import type { BoundLayer } from "../layers/bound-layer.js";
import { weightValues } from "../layers/layers-weights.js";

/**
 * The output of a layer in the ONNX graph.
 *
 * Keras is channels-last and ONNX channels-first. The rule: a value of three dimensions (height, width, channels) is stored as
 * [N, C, H, W]; a value of any other rank is stored in Keras's own order.
 */
export interface Value {
  /** Name in the graph. */
  readonly name: string;
  /** In Keras's order, without the batch. */
  readonly shape: readonly number[];
  /** Zeros that a ZeroPadding2D adds and no node has added yet: a following convolution can do it by its own padding. */
  readonly pendingPads?: EdgePairs;
}

/** y = x · scale + shift for each channel: a batch normalisation at inference. */
export interface Affine {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

/** The input of an emitter for one layer. */
export interface LayerContext {
  readonly graph: GraphBuilder;
  readonly layer: BoundLayer;
  readonly inputs: readonly Value[];
  /** A following batch normalisation, to be folded into the weights. */
  readonly folded: Affine | undefined;
}

export type Emitter = (context: LayerContext) => Value;

export interface Weight {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export function weightOf(layer: BoundLayer, name: string): Weight {
  const weight = layer.weights.get(name);
  if (weight === undefined) throw layerError(layer, `it has no weight ${name}`, "corrupt");
  return { shape: weight.shape, values: weightValues(weight) };
}

export function optionalWeight(layer: BoundLayer, name: string): Float32Array | undefined {
  return layer.weights.has(name) ? weightOf(layer, name).values : undefined;
}

/** The only input, with any pending zeros added. */
export function soleInput(context: LayerContext): Value {
  return materialise(context, rawInput(context));
}

/** The only input, with pending zeros still pending. */
export function rawInput(context: LayerContext): Value {
  const [input] = context.inputs;
  if (input === undefined || context.inputs.length !== 1) {
    throw layerError(context.layer, `it needs one input and has ${context.inputs.length}`, "corrupt");
  }
  return input;
}

/** Adds the pending padding. @param fill its value. @default 0 */
export function materialise({ graph }: Pick<LayerContext, "graph">, value: Value, fill = 0): Value {
  if (value.pendingPads === undefined) return value;
  const [top, left, bottom, right] = value.pendingPads;
  const pads = BigInt64Array.from([0, 0, top, left, 0, 0, bottom, right], BigInt);
  const inputs = [value.name, graph.constant("pads", "int64", [8], pads)];
  if (fill !== 0) inputs.push(graph.constant("fill", "float32", [], Float32Array.of(fill)));
  return { name: graph.node("Pad", inputs), shape: value.shape };
}

/** Height, width and channels. */
export function spatialShape(context: LayerContext, value: Value): [number, number, number] {
  const [height, width, channels] = value.shape;
  if (value.shape.length !== 3 || height === undefined || width === undefined || channels === undefined) {
    throw layerError(
      context.layer,
      `it needs an input of height, width and channels, and gets [${value.shape.join(", ")}]`,
      "invalid-argument",
    );
  }
  return [height, width, channels];
}

/** Position of a Keras axis (batch = 0, may count from the end) in the stored value. */
export function storedAxis(context: LayerContext, value: Value, axis: number): number {
  const rank = value.shape.length + 1;
  const positive = axis < 0 ? axis + rank : axis;
  if (!Number.isSafeInteger(positive) || positive < 0 || positive >= rank) {
    throw layerError(context.layer, `axis ${axis} does not exist in ${rank} dimensions`);
  }
  return rank === 4 ? ([0, 2, 3, 1][positive] ?? 0) : positive;
}

/** The value's name in Keras's own order. */
export function inKerasOrder({ graph }: Pick<LayerContext, "graph">, value: Value): string {
  if (value.shape.length !== 3) return value.name;
  return graph.node("Transpose", [value.name], { perm: [0, 2, 3, 1] });
}

/** Converts a tensor in Keras's order to a stored value. */
export function fromKerasOrder(
  { graph }: Pick<LayerContext, "graph">,
  name: string,
  shape: readonly number[],
): Value {
  if (shape.length !== 3) return { name, shape };
  return { name: graph.node("Transpose", [name], { perm: [0, 3, 1, 2] }), shape };
}

/** With one pixel per channel both orders have the same layout, so a Reshape alone converts. */
export function isPixel(shape: readonly number[]): boolean {
  return shape.length === 3 && shape[0] === 1 && shape[1] === 1;
}

/** The stored dimensions of a Keras shape, for a Reshape; 0 keeps the batch. */
export function reshapeTo(
  { graph }: Pick<LayerContext, "graph">,
  name: string,
  storedShape: readonly number[],
): string {
  const shape = BigInt64Array.from([0, ...storedShape], BigInt);
  return graph.node("Reshape", [name, graph.constant("shape", "int64", [shape.length], shape)]);
}
