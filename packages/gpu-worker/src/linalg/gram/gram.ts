import { TrommelError, type Gram } from "@trommel/common";
import {
  ChunkTransposer,
  columnSumOf,
  fitsFloat32,
  float32Error,
  meanTerms,
  type ChunkMean,
  type GramPrecision,
} from "./gram-chunk.js";
import { rowsOf, type Matrix, type MatrixProduct } from "../matrix-product.js";
import { pieces } from "../eigen/pieces.js";
import { mirrorLower } from "../transpose.js";

/** Bounds the copy of the rows. It is part of the result, since the order of additions decides the last bits. */
const chunkRows = 2048;
/** Width of the panels of columns whose products skip what lies above the diagonal. It is part of the result too. */
const panelColumns = 256;

/**
 * Sums XᵀX and the column sum of rows that arrive in pieces, in float64. The same rows in the same calls of `add` give
 * the same bytes, whatever the number of threads behind `product`.
 *
 * With float32 products the mean of a chunk's rows is taken out first and put back in float64. So only the differences
 * between rows are rounded, and the error is no larger if rows have much in common or are centred later.
 */
export class GramAccumulator {
  readonly #dimension: number;
  readonly #product: MatrixProduct;
  readonly #precision: GramPrecision;
  /** First column of each panel, and the one behind its last. */
  readonly #cuts: readonly (readonly [start: number, end: number])[];
  /** Products on and below the diagonal, a panel of columns at a time: [rows from the panel's first column on, its columns]. */
  readonly #panels: Float64Array[];
  readonly #columnSum: Float64Array;
  readonly #transposer = new ChunkTransposer();
  readonly #means: ChunkMean[] = [];
  #rowCount = 0;
  #ended = false;

  constructor(dimension: number, product: MatrixProduct, precision: GramPrecision = "float64") {
    this.#dimension = dimension;
    this.#product = product;
    this.#precision = precision;
    this.#columnSum = new Float64Array(dimension);
    this.#cuts = pieces(dimension, panelColumns);
    this.#panels = this.#cuts.map(([start, end]) => new Float64Array((dimension - start) * (end - start)));
  }

  /**
   * @param rows [rowCount, dimension], row-major; not kept
   * @throws TrommelError `internal` when the length does not fit, or after `result`
   */
  async add(rows: Float32Array, rowCount: number): Promise<void> {
    const dimension = this.#dimension;
    if (rows.length !== rowCount * dimension || this.#ended) {
      throw new TrommelError(
        "internal",
        `cannot add to a Gram matrix: ${rows.length} values given for ${rowCount} rows of ${dimension}` +
          `${this.#ended ? ", after its result was taken" : ""}`,
      );
    }
    for (let start = 0; start < rowCount; start += chunkRows) {
      const count = Math.min(chunkRows, rowCount - start);
      await this.#addChunk(rows.subarray(start * dimension, (start + count) * dimension), count);
    }
    this.#rowCount += rowCount;
  }

  async #addChunk(rows: Float32Array, count: number): Promise<void> {
    const dimension = this.#dimension;
    const columnSum = columnSumOf(rows, dimension);
    addTo(this.#columnSum, columnSum);
    if (this.#precision === "float64" || !fitsFloat32(rows)) {
      await this.#addProducts(this.#transposer.exact(rows, dimension));
      return;
    }
    const mean = Float32Array.from(columnSum, (sum) => sum / count);
    this.#means.push({ mean, columnSum, count });
    await this.#addProducts(this.#transposer.centred(rows, dimension, mean));
  }

  /** Adds left·rightᵀ. @param left [dimension, inner], as is `right` */
  async #addProducts(left: Matrix, right: Matrix = left): Promise<void> {
    for (const [index, [start, end]] of this.#cuts.entries()) {
      await this.#product.addProduct(
        this.#panels[index] as Float64Array,
        rowsOf(left, start, this.#dimension),
        rowsOf(right, start, end),
      );
    }
  }

  /**
   * The Gram matrix, exactly symmetric. Ends the sum.
   * @throws TrommelError `internal` the second time
   */
  async result(): Promise<Gram> {
    if (this.#ended) {
      throw new TrommelError("internal", "cannot end a Gram matrix twice: its result was already taken");
    }
    this.#ended = true;
    const dimension = this.#dimension;
    const roundingError = this.#means.length === 0 ? undefined : float32Error * this.#trace();
    await this.#addMeans();
    const products = new Float64Array(dimension * dimension);
    for (const [index, [start, end]] of this.#cuts.entries()) {
      const width = end - start;
      const panel = this.#panels[index] as Float64Array;
      for (let i = start; i < dimension; i += 1) {
        const from = (i - start) * width;
        products.set(panel.subarray(from, from + Math.min(width, i - start + 1)), i * dimension + start);
      }
      this.#panels[index] = new Float64Array();
    }
    mirrorLower(products, dimension);
    const gram = { dimension, rowCount: this.#rowCount, products, columnSum: this.#columnSum };
    return roundingError === undefined ? gram : { ...gram, roundingError };
  }

  async #addMeans(): Promise<void> {
    const { left, right } = meanTerms(this.#means, this.#dimension);
    await this.#addProducts(left, right);
  }

  #trace(): number {
    let sum = 0;
    for (const [index, [start, end]] of this.#cuts.entries()) {
      const width = end - start;
      for (let i = 0; i < width; i += 1) sum += this.#panels[index]?.[i * width + i] ?? 0;
    }
    return sum;
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
      `cannot merge Gram matrices: their dimensions are ${a.dimension} and ${b.dimension}`,
    );
  }
  const products = a.products.slice();
  addTo(products, b.products);
  const columnSum = a.columnSum.slice();
  addTo(columnSum, b.columnSum);
  const rowCount = a.rowCount + b.rowCount;
  const gram = { dimension: a.dimension, rowCount, products, columnSum };
  const roundingErrors = [a, b].flatMap(({ roundingError }) => roundingError ?? []);
  return roundingErrors.length === 0
    ? gram
    : { ...gram, roundingError: roundingErrors.reduce((sum, error) => sum + error) };
}

function addTo(sum: Float64Array, terms: Float64Array): void {
  for (let i = 0; i < sum.length; i += 1) sum[i] = (sum[i] as number) + (terms[i] as number);
}
