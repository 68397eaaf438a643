import { TrommelError, type Gram } from "@trommel/common";
import type { Matrix64, MatrixProduct } from "./matrix-product.js";

/** Bounds the float64 copy of the rows; part of the result, for the order of additions decides its last bits. */
const chunkRows = 2048;
/** Width of the panels of columns whose products skip what lies above the diagonal. Part of the result too. */
const panelColumns = 256;
/** Matrices are transposed and mirrored by tiles of this side, which stay in the processor's cache. */
const tileSide = 16;

/**
 * Sums XᵀX and the column sum of rows that arrive in pieces, in float64. The same rows in the same calls of `add` give
 * the same bytes, whatever the number of threads behind `product`.
 */
export class GramAccumulator {
  readonly #dimension: number;
  readonly #product: MatrixProduct;
  /** XᵀX on and below the diagonal, a panel of columns at a time: [rows from the panel's first column on, its columns]. */
  readonly #panels: readonly Float64Array[];
  readonly #columnSum: Float64Array;
  /** Memory for a panel's product and for the transposed rows: fresh pages would cost as much as filling them. */
  readonly #panelProduct: Float64Array;
  #transposed = new Float64Array();
  #rowCount = 0;
  #ended = false;

  constructor(dimension: number, product: MatrixProduct) {
    this.#dimension = dimension;
    this.#product = product;
    this.#columnSum = new Float64Array(dimension);
    this.#panels = panelStarts(dimension).map(
      (start) => new Float64Array((dimension - start) * panelWidth(start, dimension)),
    );
    this.#panelProduct = new Float64Array(this.#panels[0]?.length ?? 0);
  }

  /**
   * @param rows [rowCount, dimension], row-major; not kept
   * @throws TrommelError `internal` when the length is another, or after `result`
   */
  async add(rows: Float32Array, rowCount: number): Promise<void> {
    const dimension = this.#dimension;
    if (rows.length !== rowCount * dimension || this.#ended) {
      throw new TrommelError(
        "internal",
        `failed to add to a Gram matrix: ${rows.length} values given for ${rowCount} rows of ${dimension}` +
          `${this.#ended ? ", after its result was taken" : ""}.`,
      );
    }
    for (let start = 0; start < rowCount; start += chunkRows) {
      const count = Math.min(chunkRows, rowCount - start);
      const chunk = rows.subarray(start * dimension, (start + count) * dimension);
      addRowsTo(this.#columnSum, chunk);
      if (this.#transposed.length < chunk.length) this.#transposed = new Float64Array(chunk.length);
      await this.#addProducts(transposed(chunk, dimension, this.#transposed.subarray(0, chunk.length)));
    }
    this.#rowCount += rowCount;
  }

  /** @param chunk Xᵀ: [dimension, rows] */
  async #addProducts(chunk: Matrix64): Promise<void> {
    const { rows: dimension, columns: count, data } = chunk;
    for (const [index, start] of panelStarts(dimension).entries()) {
      const width = panelWidth(start, dimension);
      const below = { rows: dimension - start, columns: count, data: data.subarray(start * count) };
      const panel = { rows: width, columns: count, data: below.data.subarray(0, width * count) };
      const options = { transposeB: true, into: this.#panelProduct };
      const product = await this.#product.multiply(below, panel, options);
      addTo(this.#panels[index] as Float64Array, product.data);
    }
  }

  /**
   * The Gram matrix, exactly symmetric. Ends the sum.
   * @throws TrommelError `internal` the second time
   */
  result(): Gram {
    if (this.#ended) {
      throw new TrommelError("internal", "failed to end a Gram matrix: its result was taken before.");
    }
    this.#ended = true;
    const dimension = this.#dimension;
    const products = new Float64Array(dimension * dimension);
    for (const [index, start] of panelStarts(dimension).entries()) {
      const width = panelWidth(start, dimension);
      const panel = this.#panels[index] as Float64Array;
      for (let i = start; i < dimension; i += 1) {
        const from = (i - start) * width;
        products.set(panel.subarray(from, from + Math.min(width, i - start + 1)), i * dimension + start);
      }
    }
    mirrorLower(products, dimension);
    return { dimension, rowCount: this.#rowCount, products, columnSum: this.#columnSum };
  }
}

function panelStarts(dimension: number): number[] {
  return Array.from({ length: Math.ceil(dimension / panelColumns) }, (_, i) => i * panelColumns);
}

function panelWidth(start: number, dimension: number): number {
  return Math.min(panelColumns, dimension - start);
}

/**
 * The Gram matrix of the rows of both. Addition of floats does not associate: a tree of merges has to have a fixed order.
 * @throws TrommelError `internal` when the dimensions differ
 */
export function mergeGrams(a: Gram, b: Gram): Gram {
  if (a.dimension !== b.dimension) {
    throw new TrommelError(
      "internal",
      `failed to merge Gram matrices: their dimensions are ${a.dimension} and ${b.dimension}.`,
    );
  }
  const products = a.products.slice();
  addTo(products, b.products);
  const columnSum = a.columnSum.slice();
  addTo(columnSum, b.columnSum);
  return { dimension: a.dimension, rowCount: a.rowCount + b.rowCount, products, columnSum };
}

function addTo(sum: Float64Array, terms: Float64Array): void {
  for (let i = 0; i < sum.length; i += 1) sum[i] = (sum[i] as number) + (terms[i] as number);
}

function addRowsTo(sum: Float64Array, rows: Float32Array): void {
  for (let start = 0; start < rows.length; start += sum.length) {
    for (let j = 0; j < sum.length; j += 1) sum[j] = (sum[j] as number) + (rows[start + j] as number);
  }
}

/** @param rows [count, dimension] */
function transposed(rows: Float32Array, dimension: number, data: Float64Array): Matrix64 {
  const count = rows.length / dimension;
  for (let left = 0; left < dimension; left += tileSide) {
    const right = Math.min(left + tileSide, dimension);
    for (let top = 0; top < count; top += tileSide) {
      const bottom = Math.min(top + tileSide, count);
      for (let j = left; j < right; j += 1) {
        for (let i = top; i < bottom; i += 1) data[j * count + i] = rows[i * dimension + j] as number;
      }
    }
  }
  return { rows: dimension, columns: count, data };
}

function mirrorLower(matrix: Float64Array, dimension: number): void {
  for (let left = 0; left < dimension; left += tileSide) {
    const right = Math.min(left + tileSide, dimension);
    for (let top = left; top < dimension; top += tileSide) {
      const bottom = Math.min(top + tileSide, dimension);
      for (let j = left; j < right; j += 1) {
        for (let i = Math.max(top, j + 1); i < bottom; i += 1) {
          matrix[j * dimension + i] = matrix[i * dimension + j] as number;
        }
      }
    }
  }
}
