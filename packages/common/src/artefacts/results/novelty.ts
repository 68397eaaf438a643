import { decodeSafetensors, encodeSafetensors, requireTensor } from "../../codec/safetensors.js";
import { TrommelError } from "../../errors.js";

/**
 * How unlike the training images an image is. With c the used standardised features less `mean`, u = cᵀ·directions and K
 * classes, its distance is min_k(offsets_k − u_k) + u·coupling·uᵀ + |cᵀ·minor|²: how much farther it is from its nearest
 * class than from all images, and how far it goes where training images hardly differ. Matrices are row-major.
 */
export interface Novelty {
  /** Length of the standardised features. */
  readonly dimension: number;
  /** [used], rising: the features that take part. */
  readonly used: Int32Array;
  /** [used] */
  readonly mean: Float32Array;
  /** [used, classes] */
  readonly directions: Float32Array;
  /** [classes] */
  readonly offsets: Float32Array;
  /** [classes, classes] */
  readonly coupling: Float32Array;
  /** [used, minor] */
  readonly minor: Float32Array;
  /** Out-of-fold distances of the training images at equal steps of their order, from the least to the most. */
  readonly quantiles: Float32Array;
}

export function encodeNovelty(novelty: Novelty): Uint8Array {
  const used = novelty.used.length;
  const classes = novelty.offsets.length;
  return encodeSafetensors({
    tensors: {
      used: { dtype: "I32", shape: [used], data: novelty.used },
      mean: { dtype: "F32", shape: [used], data: novelty.mean },
      directions: { dtype: "F32", shape: [used, classes], data: novelty.directions },
      offsets: { dtype: "F32", shape: [classes], data: novelty.offsets },
      coupling: { dtype: "F32", shape: [classes, classes], data: novelty.coupling },
      minor: { dtype: "F32", shape: [used, novelty.minor.length / used], data: novelty.minor },
      quantiles: { dtype: "F32", shape: [novelty.quantiles.length], data: novelty.quantiles },
    },
    metadata: { dimension: String(novelty.dimension) },
  });
}

/** @throws TrommelError `corrupt` when tensors are missing or do not fit */
export function decodeNovelty(bytes: Uint8Array, name: string): Novelty {
  const file = decodeSafetensors(bytes, { name });
  const dimension = Number(file.metadata["dimension"]);
  const used = requireTensor(file, "used", "I32", 1).data;
  const mean = requireTensor(file, "mean", "F32", 1).data;
  const directions = requireTensor(file, "directions", "F32", 2);
  const offsets = requireTensor(file, "offsets", "F32", 1).data;
  const coupling = requireTensor(file, "coupling", "F32", 2);
  const minor = requireTensor(file, "minor", "F32", 2);
  const quantiles = requireTensor(file, "quantiles", "F32", 1).data;
  const fits =
    Number.isSafeInteger(dimension) &&
    used.every((feature, at) => feature > (used[at - 1] ?? -1) && feature < dimension) &&
    mean.length === used.length &&
    [directions, minor].every(({ shape }) => shape[0] === used.length) &&
    [directions.shape[1], ...coupling.shape].every((side) => side === offsets.length) &&
    quantiles.length >= 2;
  if (!fits) {
    throw new TrommelError("corrupt", `cannot read the novelty statistics ${name}: their shapes do not fit`);
  }
  return {
    ...{ dimension, used, mean, directions: directions.data, offsets },
    ...{ coupling: coupling.data, minor: minor.data, quantiles },
  };
}
