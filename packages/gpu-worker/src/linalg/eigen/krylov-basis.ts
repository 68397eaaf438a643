import type { SeededRandom } from "@trommel/common";
import type { Eigenpairs } from "./dense-eigenpairs.js";
import type { Matrix64, MatrixProduct } from "../matrix-product.js";
import { orthonormaliseRows } from "./orthonormal-rows.js";

/** From this dimension on a matrix outgrows the processor's cache, and reading it costs more than using it. */
const largeDimension = 2048;

/** An orthonormal basis of a block Krylov space of G, with the images of its vectors and QᵀGQ. One vector a row. */
export class KrylovBasis {
  /**
   * Vectors added at a time. With small blocks a subspace of the same size reaches higher powers of G and so converges
   * sooner; large blocks read G less often. For 300 pairs at dimension 4736 blocks of 8, 16, 32 and 64 need 750, 850, 950 and
   * 1200 vectors.
   */
  readonly blockSize: number;

  readonly #matrix: Matrix64;
  readonly #product: MatrixProduct;
  readonly #random: SeededRandom;
  readonly #traceOfMatrix: number;
  readonly #vectors: Float64Array;
  readonly #images: Float64Array;
  /**
   * For each block its image times Qᵀ, for the vectors of the previous block and its own. The product with the next block is
   * stored there, and all others are zero, as in any Lanczos process: the part of an image outside the basis is in the
   * block that follows.
   */
  readonly #projections: Matrix64[] = [];
  #size = 0;

  /** @param mostVectors room reserved for the basis; blocks are whole, so it may end up one block larger */
  constructor(matrix: Matrix64, product: MatrixProduct, random: SeededRandom, mostVectors: number) {
    this.#matrix = matrix;
    this.#product = product;
    this.#random = random;
    this.blockSize = Math.min(matrix.rows < largeDimension ? 8 : 16, matrix.rows);
    let trace = 0;
    for (let i = 0; i < matrix.rows; i += 1) trace += matrix.data[i * matrix.rows + i] as number;
    this.#traceOfMatrix = trace;
    const room = Math.min(mostVectors + this.blockSize, matrix.rows) * matrix.rows;
    this.#vectors = new Float64Array(room);
    this.#images = new Float64Array(room);
  }

  get size(): number {
    return this.#size;
  }

  /** The trace of QᵀGQ: the sum of all eigenvalues that the basis has found. */
  get trace(): number {
    let sum = 0;
    for (const { rows, columns, data } of this.#projections) {
      for (let i = 0; i < rows; i += 1) sum += data[i * columns + columns - rows + i] as number;
    }
    return sum;
  }

  async growTo(size: number): Promise<void> {
    const dimension = this.#matrix.rows;
    while (this.#size < size) {
      const block = await this.#nextBlock(Math.min(this.blockSize, dimension - this.#size));
      // The matrix is its own transpose, and this form needs no transposed copy of it.
      const image = await this.#product.multiply(block, this.#matrix, { transposeB: true });
      this.#vectors.set(block.data, this.#size * dimension);
      this.#images.set(image.data, this.#size * dimension);
      const before = this.#projections.at(-1)?.rows ?? 0;
      const near = this.#rows(this.#vectors, this.#size - before, this.#size + block.rows);
      this.#size += block.rows;
      this.#projections.push(await this.#product.multiply(image, near, { transposeB: true }));
    }
  }

  /** QᵀGQ, exactly symmetric. */
  projected(): Matrix64 {
    const size = this.#size;
    const data = new Float64Array(size * size);
    let start = 0;
    for (const { rows, columns, data: part } of this.#projections) {
      const first = start + rows - columns;
      for (let i = 0; i < rows; i += 1) {
        const vector = start + i;
        for (let j = first; j <= vector; j += 1) {
          const value = part[i * columns + j - first] as number;
          data[vector * size + j] = value;
          data[j * size + vector] = value;
        }
      }
      start += rows;
    }
    return { rows: size, columns: size, data };
  }

  /** Eigenpairs of QᵀGQ as approximate eigenpairs of G, and the Frobenius norm of their residuals Gv − θv. */
  async lift(ritz: Eigenpairs): Promise<Eigenpairs & { readonly residual: number }> {
    const vectors = await this.#product.multiply(ritz.vectors, this.#rows(this.#vectors));
    const images = await this.#product.multiply(ritz.vectors, this.#rows(this.#images));
    const dimension = this.#matrix.rows;
    let squares = 0;
    for (const [i, value] of ritz.values.entries()) {
      const end = (i + 1) * dimension;
      for (let j = i * dimension; j < end; j += 1) {
        const rest = (images.data[j] as number) - value * (vectors.data[j] as number);
        squares += rest * rest;
      }
    }
    return { values: ritz.values, vectors, residual: Math.sqrt(squares) };
  }

  #rows(data: Float64Array, start = 0, end = this.#size): Matrix64 {
    const columns = this.#matrix.rows;
    return { rows: end - start, columns, data: data.subarray(start * columns, end * columns) };
  }

  /** Orthonormal rows, orthogonal to the basis: the last block's image as far as it holds new directions. */
  async #nextBlock(count: number): Promise<Matrix64> {
    const dimension = this.#matrix.rows;
    const last = this.#projections.at(-1);
    if (last === undefined) {
      const start = { rows: count, columns: dimension, data: this.#drawRows(count) };
      this.#orthonormalise(start, 0);
      return start;
    }
    const from = this.#size - last.rows;
    let block: Matrix64 = {
      rows: count,
      columns: dimension,
      data: this.#images.slice(from * dimension, (from + count) * dimension),
    };
    // The overlap of the image with the basis is already known up to rounding: `last` holds it.
    const known = { rows: count, columns: last.columns, data: last.data.subarray(0, count * last.columns) };
    block = await this.#without(block, known, this.#size - last.columns);
    this.#orthonormalise(block, 1e-16 * this.#traceOfMatrix);
    // Twice is enough (Giraud, Langou & Rozložník 2005), except for rows that were redrawn.
    for (let pass = 1, again = true; again && pass < 4; pass += 1) {
      const overlap = await this.#product.multiply(block, this.#rows(this.#vectors), { transposeB: true });
      block = await this.#without(block, overlap, 0);
      again = this.#orthonormalise(block, 1e-14) || overlap.data.some((value) => Math.abs(value) > 1e-8);
    }
    return block;
  }

  /** The block minus its part inside the basis, from the vector `start` on. */
  async #without(block: Matrix64, overlap: Matrix64, start: number): Promise<Matrix64> {
    const inside = await this.#product.multiply(overlap, this.#rows(this.#vectors, start));
    const data = block.data;
    for (let i = 0; i < data.length; i += 1) data[i] = (data[i] as number) - (inside.data[i] as number);
    return block;
  }

  /** A row that vanishes is redrawn: the Krylov space is exhausted. */
  #orthonormalise(block: Matrix64, floor: number): boolean {
    return orthonormaliseRows(block, floor, () => this.#drawRows(1));
  }

  #drawRows(count: number): Float64Array {
    return Float64Array.from({ length: count * this.#matrix.rows }, () => this.#random.normal());
  }
}
