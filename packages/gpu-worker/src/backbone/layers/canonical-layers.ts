import { activationOf } from "./activation-names.js";
import { flagOf, layerError } from "./layer-config.js";
import type { BoundLayer } from "./bound-layer.js";
import { weightValues, type LayersWeight } from "./layers-weights.js";

/** Layers that do nothing at inference, under the names by which libraries register them. */
const identityClasses = new Set([
  "Dropout",
  "SpatialDropout2D",
  "GaussianDropout",
  "GaussianNoise",
  "AlphaDropout",
  "FixedDropout",
  "ActivityRegularization",
  "RandomFlip",
  "RandomRotation",
  "RandomZoom",
  "RandomTranslation",
  "RandomContrast",
]);

/**
 * Rewrites a layer in types that TensorFlow.js itself has, so that the compiler and the reference see the same few types:
 * custom activations under their plain name, Normalization as BatchNormalization, keepdims as a Reshape.
 * The last layer returned has the name of the given one.
 */
export function canonicalLayers(layer: BoundLayer): readonly BoundLayer[] {
  const { className } = layer;
  if (identityClasses.has(className)) return [{ ...layer, className: "Dropout", config: { rate: 0 } }];
  if (className === "ReLU6") return [{ ...layer, className: "ReLU", config: { max_value: 6 } }];
  if (className === "Swish") return [{ ...layer, className: "Activation", config: { activation: "swish" } }];
  if (className === "Normalization") return [batchNormalization(layer)];
  const isGlobal = className === "GlobalAveragePooling2D" || className === "GlobalMaxPooling2D";
  if (isGlobal && flagOf(layer, "keepdims", false)) return keepDims(layer);
  if ("activation" in layer.config) {
    return [{ ...layer, config: { ...layer.config, activation: activationOf(layer) } }];
  }
  return [layer];
}

function keepDims(layer: BoundLayer): readonly BoundLayer[] {
  const pooled: BoundLayer = { ...layer, name: `${layer.name}_pooled`, config: {} };
  return [
    pooled,
    {
      ...layer,
      className: "Reshape",
      // -1 is the channel count, which the compiler resolves.
      config: { target_shape: [1, 1, -1] },
      inputs: [pooled.name],
    },
  ];
}

/** Keras: (x - mean) / max(sqrt(variance), 1e-7). */
function batchNormalization(layer: BoundLayer): BoundLayer {
  if (flagOf(layer, "invert", false)) throw layerError(layer, "invert is set");
  const mean = statistic(layer, "mean");
  const variance = statistic(layer, "variance").map((value) => Math.max(value, 1e-14));
  return {
    ...layer,
    className: "BatchNormalization",
    config: { axis: -1, epsilon: 0, scale: false, center: false },
    weights: new Map([
      ["moving_mean", floatWeight(`${layer.name}/moving_mean`, mean)],
      ["moving_variance", floatWeight(`${layer.name}/moving_variance`, variance)],
    ]),
  };
}

/** Learnt from data (a weight), or given at construction (in the config). */
function statistic(layer: BoundLayer, key: "mean" | "variance"): Float32Array {
  const weight = layer.weights.get(key);
  if (weight !== undefined) return weightValues(weight);
  const given = layer.config[key];
  const list = (Array.isArray(given) ? given : [given]).flat(Infinity) as unknown[];
  if (list.length > 0 && list.every((item) => typeof item === "number")) return Float32Array.from(list);
  throw layerError(layer, `it has no ${key}`);
}

function floatWeight(name: string, values: Float32Array): LayersWeight {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { name, shape: [values.length], dtype: "float32", bytes };
}
