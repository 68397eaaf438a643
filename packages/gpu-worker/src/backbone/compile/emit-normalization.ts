import {
  optionalWeight,
  soleInput,
  spatialShape,
  weightOf,
  type Affine,
  type Emitter,
  type LayerContext,
} from "./compile-context.js";
import type { BoundLayer } from "../layers/bound-layer.js";
import { integersOf, layerError, numberOf } from "../layers/layer-config.js";

/**
 * y = x · scale + shift on the last Keras axis, for a batch normalisation that could not be folded.
 * Emits two nodes, which work for any rank and which ONNX Runtime fuses if that helps.
 */
export const emitBatchNormalization: Emitter = (context) => {
  const { graph, layer } = context;
  const input = soleInput(context);
  if (!normalizesLastAxis(layer, input.shape.length)) {
    throw layerError(
      layer,
      `it normalises axis ${JSON.stringify(layer.config["axis"])}, and only the last axis is supported`,
    );
  }
  const { scale, shift } = affineOf(context);
  if (scale.length !== input.shape.at(-1)) {
    throw layerError(
      layer,
      `it has ${scale.length} channels, its input ${input.shape.at(-1) ?? 0}`,
      "invalid-argument",
    );
  }
  const dims = input.shape.length === 3 ? [scale.length, 1, 1] : [scale.length];
  const factor = graph.constant(`${layer.name}/scale`, "float32", dims, Float32Array.from(scale));
  const offset = graph.constant(`${layer.name}/shift`, "float32", dims, Float32Array.from(shift));
  return { name: graph.node("Add", [graph.node("Mul", [input.name, factor]), offset]), shape: input.shape };
};

/**
 * Group normalisation (Wu & He 2018) of a spatial value: each image's groups of neighbouring channels by their own mean and
 * variance, which an instance normalisation of the groups computes.
 */
export const emitGroupNormalization: Emitter = (context) => {
  const { graph, layer } = context;
  const input = soleInput(context);
  const [height, width, channels] = spatialShape(context, input);
  const groups = numberOf(layer, "groups", 32);
  if (!Number.isSafeInteger(groups) || groups < 1 || channels % groups !== 0)
    throw layerError(
      layer,
      `its ${channels} channels do not divide into ${groups} groups`,
      "invalid-argument",
    );
  const ofGroups = graph.reshape(input.name, [0, groups, -1]);
  const normalized = graph.node(
    "InstanceNormalization",
    [
      ofGroups,
      graph.constant("ones", "float32", [groups], new Float32Array(groups).fill(1)),
      graph.constant("zeros", "float32", [groups], new Float32Array(groups)),
    ],
    { epsilon: { float: numberOf(layer, "epsilon", 1e-3) } },
  );
  const maps = graph.reshape(normalized, [0, channels, height, width]);
  const dims = [channels, 1, 1];
  const weight = (name: string, fallback: number): string => {
    const values = optionalWeight(layer, name) ?? new Float32Array(channels).fill(fallback);
    return graph.constant(`${layer.name}/${name}`, "float32", dims, values);
  };
  const scaled = graph.node("Mul", [maps, weight("gamma", 1)]);
  return { name: graph.node("Add", [scaled, weight("beta", 0)]), shape: input.shape };
};

/** @param rank dimensions without the batch */
export function normalizesLastAxis(layer: BoundLayer, rank: number): boolean {
  const [axis, ...others] = layer.config["axis"] === undefined ? [-1] : integersOf(layer, "axis");
  return others.length === 0 && (axis === -1 || axis === rank);
}

/** Batch normalisation at inference: gamma · (x - mean) / sqrt(variance + epsilon) + beta (Ioffe and Szegedy, 2015). */
export function affineOf({ layer }: Pick<LayerContext, "layer">): Affine {
  const epsilon = numberOf(layer, "epsilon", 1e-3);
  const mean = weightOf(layer, "moving_mean").values;
  const variance = weightOf(layer, "moving_variance").values;
  const gamma = optionalWeight(layer, "gamma");
  const beta = optionalWeight(layer, "beta");
  const lengths = [variance, gamma ?? mean, beta ?? mean].map((values) => values.length);
  if (lengths.some((length) => length !== mean.length))
    throw layerError(layer, "its weights differ in length", "corrupt");
  const scale = Float64Array.from(
    variance,
    (value, channel) => (gamma?.[channel] ?? 1) / Math.sqrt(value + epsilon),
  );
  const shift = Float64Array.from(
    mean,
    (value, channel) => (beta?.[channel] ?? 0) - value * (scale[channel] ?? 0),
  );
  if (![...scale, ...shift].every(Number.isFinite))
    throw layerError(layer, "its scale or shift is not finite", "corrupt");
  return { scale, shift };
}
