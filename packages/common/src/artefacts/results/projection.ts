/** The artefacts of the SVD. Matrices are row-major. */

/** XᵀX, row count and column sum of some feature shards, in float64. Grams of disjoint rows add up. */
export interface Gram {
  readonly dimension: number;
  readonly rowCount: number;
  /** [dimension, dimension], symmetric. */
  readonly products: Float64Array;
  /** [dimension] */
  readonly columnSum: Float64Array;
  /**
   * Estimates the spectral norm of what float32 products left in `products`: an eigenvalue up to some times this may be
   * no more than that. Absent where all were made in float64.
   */
  readonly roundingError?: number;
}

/** The truncated SVD: z = (x - mean) · basis · scale. */
export interface Projection {
  /** Length of x, the concatenated embeddings. */
  readonly dimension: number;
  /** Length of z. */
  readonly components: number;
  /** [dimension]; zeros unless the recipe centres. */
  readonly mean: Float32Array;
  /** [dimension, components]; columns are right singular vectors, largest singular value first, sign fixed so that the entry of largest magnitude is positive. */
  readonly basis: Float32Array;
  /** [components], of the whole training matrix. */
  readonly singularValues: Float64Array;
  /** Makes the mean of |z|² over the training rows one. */
  readonly scale: number;
  /** Kept share of the squared singular values, 0..1. */
  readonly energyKept: number;
}

/** A tensor by shape, float32, row-major. */
export interface NamedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Weights of a head by name, see the worker's head/ for names and shapes. */
export type HeadWeights = Readonly<Record<string, NamedTensor>>;
