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
  /** XᵀX on and below the diagonal. */
  readonly #products: Float64Array;
  readonly #columnSum: Float64Array;
  readonly #panelProduct: Float64Array;
  #rowCount = 0;
  #ended = false;

  constructor(dimension: number, product: MatrixProduct) {
    this.#dimension = dimension;
    this.#product = product;
    this.#products = new Float64Array(dimension * dimension);
    this.#columnSum = new Float64Array(dimension);
    this.#panelProduct = new Float64Array(dimension * Math.min(panelColumns, dimension));
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
      await this.#addProducts(transposed(chunk, count, dimension));
    }
    this.#rowCount += rowCount;
  }

  /** @param chunk Xᵀ: [dimension, rows] */
  async #addProducts(chunk: Matrix64): Promise<void> {
    const { rows: dimension, columns: count, data } = chunk;
    for (let start = 0; start < dimension; start += panelColumns) {
      const width = Math.min(panelColumns, dimension - start);
      const below = { rows: dimension - start, columns: count, data: data.subarray(start * count) };
      const panel = { rows: width, columns: count, data: below.data.subarray(0, width * count) };
      const product = await this.#product.multiply(below, panel, {
        transposeB: true,
        into: this.#panelProduct,
      });
      for (let i = 0; i < below.rows; i += 1) {
        const at = (start + i) * dimension + start;
        for (let j = 0; j < width; j += 1) {
          this.#products[at + j] =
            (this.#products[at + j] as number) + (product.data[i * width + j] as number);
        }
      }
    }
  }

  /** The Gram matrix, exactly symmetric. It is not copied, so this ends the sum. */
  result(): Gram {
    this.#ended = true;
    mirrorLower(this.#products, this.#dimension);
    return {
      dimension: this.#dimension,
      rowCount: this.#rowCount,
      products: this.#products,
      columnSum: this.#columnSum,
    };
  }
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
function transposed(rows: Float32Array, count: number, dimension: number): Matrix64 {
  const data = new Float64Array(rows.length);
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
