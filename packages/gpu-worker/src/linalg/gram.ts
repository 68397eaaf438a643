import { TrommelError, type Gram } from "@trommel/common";
import type { MatrixProduct } from "./matrix-product.js";

/** Bounds the float64 copy of the rows; part of the result, for the order of additions decides its last bits. */
const chunkRows = 1024;

/**
 * Sums XᵀX and the column sum of rows that arrive in pieces, in float64. The same rows in the same calls of `add` give
 * the same bytes, whatever the number of threads behind `product`.
 */
export class GramAccumulator {
  readonly #dimension: number;
  readonly #product: MatrixProduct;
  readonly #products: Float64Array;
  readonly #columnSum: Float64Array;
  #rowCount = 0;

  constructor(dimension: number, product: MatrixProduct) {
    this.#dimension = dimension;
    this.#product = product;
    this.#products = new Float64Array(dimension * dimension);
    this.#columnSum = new Float64Array(dimension);
  }

  /**
   * @param rows [rowCount, dimension], row-major; not kept
   * @throws TrommelError `internal` when the length is another
   */
  async add(rows: Float32Array, rowCount: number): Promise<void> {
    const dimension = this.#dimension;
    if (rows.length !== rowCount * dimension) {
      throw new TrommelError(
        "internal",
        `failed to add to a Gram matrix: ${rows.length} values given for ${rowCount} rows of ${dimension}.`,
      );
    }
    for (let start = 0; start < rowCount; start += chunkRows) {
      const count = Math.min(chunkRows, rowCount - start);
      const data = Float64Array.from(rows.subarray(start * dimension, (start + count) * dimension));
      const chunk = { rows: count, columns: dimension, data };
      const product = await this.#product.multiply(chunk, chunk, { transposeA: true });
      addTo(this.#products, product.data);
      addRowsTo(this.#columnSum, data);
    }
    this.#rowCount += rowCount;
  }

  /** The Gram matrix so far, exactly symmetric; a copy. */
  result(): Gram {
    const products = this.#products.slice();
    mirrorUpper(products, this.#dimension);
    return {
      dimension: this.#dimension,
      rowCount: this.#rowCount,
      products,
      columnSum: this.#columnSum.slice(),
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

function addRowsTo(sum: Float64Array, rows: Float64Array): void {
  for (let start = 0; start < rows.length; start += sum.length) {
    for (let j = 0; j < sum.length; j += 1) sum[j] = (sum[j] as number) + (rows[start + j] as number);
  }
}

function mirrorUpper(matrix: Float64Array, dimension: number): void {
  for (let i = 0; i < dimension; i += 1) {
    for (let j = i + 1; j < dimension; j += 1) {
      matrix[j * dimension + i] = matrix[i * dimension + j] as number;
    }
  }
}
