import type { Matrix, Matrix64 } from "../matrix-product.js";
import { transposeInto } from "../transpose.js";

/** The precision of a Gram matrix's products. They are summed in float64 in either case. */
export type GramPrecision = "float32" | "float64";

/**
 * An estimate of the spectral norm of the rounding error of float32 products, relative to the trace of the product: four roundings.
 * From 128 dimensions on, the measured error is 1.4 times this for two images repeated many times, and mostly an eighth or less
 * (docs/decisions/2026-11-22-eigenpairs.md).
 */
export const float32Error = 2 ** -22;

/** The mean that is taken out of a chunk's rows before float32 products, which keep only seven digits. */
export interface ChunkMean {
  readonly mean: Float32Array;
  readonly columnSum: Float64Array;
  readonly count: number;
}

/** Squares of values in this range, and sums of a few thousand of them, neither overflow float32 nor vanish in it. */
const largestValue = 2 ** 50;
const leastLargestValue = 2 ** -50;

/** Memory for the transposed rows, reused for every chunk: fresh pages would cost as much as filling them. */
export class ChunkTransposer {
  #singles = new Float32Array();
  #doubles = new Float64Array();

  /** Xᵀ: [dimension, rows], valid until the next call. */
  exact(rows: Float32Array, dimension: number): Matrix {
    if (this.#doubles.length < rows.length) this.#doubles = new Float64Array(rows.length);
    const data = this.#doubles.subarray(0, rows.length);
    transposeInto(rows, dimension, data);
    return { rows: dimension, columns: rows.length / dimension, data };
  }

  /** (X − mean)ᵀ: [dimension, rows], valid until the next call. */
  centred(rows: Float32Array, dimension: number, mean: Float32Array): Matrix {
    if (this.#singles.length < rows.length) this.#singles = new Float32Array(rows.length);
    const data = this.#singles.subarray(0, rows.length);
    transposeInto(rows, dimension, data, mean);
    return { rows: dimension, columns: rows.length / dimension, data };
  }
}

/** @returns [dimension], in float64 */
export function columnSumOf(rows: Float32Array, dimension: number): Float64Array {
  const sum = new Float64Array(dimension);
  let start = 0;
  // Four rows per pass over the sums, in the order of the rows.
  for (; start < rows.length && start + 4 * dimension <= rows.length; start += 4 * dimension) {
    const [second, third, fourth] = [start + dimension, start + 2 * dimension, start + 3 * dimension];
    for (let j = 0; j < dimension; j += 1) {
      sum[j] =
        (sum[j] as number) +
        (rows[start + j] as number) +
        (rows[second + j] as number) +
        (rows[third + j] as number) +
        (rows[fourth + j] as number);
    }
  }
  for (; start < rows.length; start += dimension) {
    for (let j = 0; j < dimension; j += 1) sum[j] = (sum[j] as number) + (rows[start + j] as number);
  }
  return sum;
}

/** Whether the squares of these rows fit into float32; false if a value is not finite. */
export function fitsFloat32(rows: Float32Array): boolean {
  let largest = 0;
  // By index: an iterator over so many takes three times as long and more.
  for (let i = 0; i < rows.length; i += 1) {
    const magnitude = Math.abs(rows[i] as number);
    // The negated comparison is also true for NaN.
    if (!(magnitude <= largestValue)) return false;
    if (magnitude > largest) largest = magnitude;
  }
  return largest >= leastLargestValue || largest === 0;
}

/**
 * What turns the sum of the centred products (X − mean)ᵀ(X − mean) of all chunks into XᵀX: rtᵀ + trᵀ for each, with r its mean
 * and t = columnSum − (count/2)·r, as the factors of one product LRᵀ. This holds for any r, hence also for a rounded one.
 *
 * @returns [dimension, 2·chunks] both
 */
export function meanTerms(
  means: readonly ChunkMean[],
  dimension: number,
): { left: Matrix64; right: Matrix64 } {
  const columns = 2 * means.length;
  const left = { rows: dimension, columns, data: new Float64Array(dimension * columns) };
  const right = { ...left, data: new Float64Array(dimension * columns) };
  for (const [chunk, { mean, columnSum, count }] of means.entries()) {
    for (let i = 0; i < dimension; i += 1) {
      const r = mean[i] as number;
      const t = (columnSum[i] as number) - (count / 2) * r;
      const at = i * columns + 2 * chunk;
      left.data[at] = right.data[at + 1] = r;
      left.data[at + 1] = right.data[at] = t;
    }
  }
  return { left, right };
}
