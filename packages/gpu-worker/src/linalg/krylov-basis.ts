import type { SeededRandom } from "@trommel/common";
import type { Eigenpairs } from "./dense-eigenpairs.js";
import type { Matrix64, MatrixProduct } from "./matrix-product.js";

/** An orthonormal basis of a block Krylov space of G, with the images of its vectors and QᵀGQ. One vector a row. */
export class KrylovBasis {
  /**
   * Vectors that join at a time. Small blocks make a subspace of the same size reach higher powers of G, and with them
   * converge sooner: at dimension 1792, 100 pairs of which the last lie in a dense bulk take 3 s with blocks of 4, while
   * with 32 half the dimension is not enough.
   */
  static readonly blockSize = 4;

  readonly #matrix: Matrix64;
  readonly #product: MatrixProduct;
  readonly #random: SeededRandom;
  #trace = 0;
  #vectors: Matrix64;
  #images: Matrix64;
  /** Rows of Q·(GQ)ᵀ, block after block: for block b, [size after b, block's vectors]. */
  readonly #projections: Matrix64[] = [];

  constructor(matrix: Matrix64, product: MatrixProduct, random: SeededRandom) {
    this.#matrix = matrix;
    this.#product = product;
    this.#random = random;
    for (let i = 0; i < matrix.rows; i += 1) this.#trace += matrix.data[i * matrix.rows + i] as number;
    this.#vectors = { rows: 0, columns: matrix.rows, data: new Float64Array() };
    this.#images = this.#vectors;
  }

  get size(): number {
    return this.#vectors.rows;
  }

  async growTo(size: number): Promise<void> {
    this.#vectors = withRoom(this.#vectors, size + KrylovBasis.blockSize);
    this.#images = withRoom(this.#images, size + KrylovBasis.blockSize);
    while (this.size < size) {
      const block = await this.#nextBlock(Math.min(KrylovBasis.blockSize, this.#matrix.rows - this.size));
      // The matrix is its own transpose, and this form needs no transposed copy of it.
      const image = await this.#product.multiply(block, this.#matrix, { transposeB: true });
      this.#vectors = appendRows(this.#vectors, block);
      this.#images = appendRows(this.#images, image);
      this.#projections.push(await this.#product.multiply(this.#vectors, image, { transposeB: true }));
    }
  }

  /** QᵀGQ, exactly symmetric. */
  projected(): Matrix64 {
    const size = this.size;
    const data = new Float64Array(size * size);
    let start = 0;
    for (const { rows, columns, data: part } of this.#projections) {
      for (let i = 0; i < rows; i += 1) {
        for (let j = 0; j < columns; j += 1) {
          if (i > start + j) continue;
          const value = part[i * columns + j] as number;
          data[i * size + start + j] = value;
          data[(start + j) * size + i] = value;
        }
      }
      start += columns;
    }
    return { rows: size, columns: size, data };
  }

  /** The first `count` eigenpairs of QᵀGQ as approximate eigenpairs of G, and their largest residual ‖Gv − θv‖. */
  async lift(ritz: Eigenpairs, count: number): Promise<Eigenpairs & { readonly maxResidual: number }> {
    const { columns: size, data } = ritz.vectors;
    const coordinates = { rows: count, columns: size, data: data.subarray(0, count * size) };
    const vectors = await this.#product.multiply(coordinates, this.#vectors);
    const images = await this.#product.multiply(coordinates, this.#images);
    const dimension = this.#matrix.rows;
    let maxResidual = 0;
    for (let i = 0; i < count; i += 1) {
      const value = ritz.values[i] as number;
      let squares = 0;
      for (let j = i * dimension; j < (i + 1) * dimension; j += 1) {
        squares += ((images.data[j] as number) - value * (vectors.data[j] as number)) ** 2;
      }
      maxResidual = Math.max(maxResidual, Math.sqrt(squares));
    }
    return { values: ritz.values.slice(0, count), vectors, maxResidual };
  }

  /** Orthonormal rows, orthogonal to the basis: the last block's image where it leads anywhere new. */
  async #nextBlock(count: number): Promise<Matrix64> {
    const dimension = this.#matrix.rows;
    const from = this.#images.data.length - count * dimension;
    const data = from >= 0 ? this.#images.data.slice(from) : this.#drawRows(count);
    let block: Matrix64 = { rows: count, columns: dimension, data };
    // Twice is enough (Giraud, Langou & Rozložník 2005); the third pass is for rows that were drawn anew.
    for (let pass = 0; pass < 3; pass += 1) {
      block = await this.#withoutBasis(block);
      this.#orthonormalise(block, pass === 0 ? 1e-16 * this.#trace : 1e-14);
    }
    return block;
  }

  async #withoutBasis(block: Matrix64): Promise<Matrix64> {
    if (this.size === 0) return block;
    const overlap = await this.#product.multiply(block, this.#vectors, { transposeB: true });
    const inside = await this.#product.multiply(overlap, this.#vectors);
    const data = block.data.map((value, i) => value - (inside.data[i] as number));
    return { ...block, data };
  }

  /** Modified Gram–Schmidt over the rows, in place; a row that vanishes is drawn anew (the Krylov space is exhausted). */
  #orthonormalise(block: Matrix64, floor: number): void {
    const { rows, columns, data } = block;
    const row = (i: number) => data.subarray(i * columns, (i + 1) * columns);
    const removeEarlier = (i: number) => {
      for (let j = 0; j < i; j += 1) subtractMultiple(row(i), row(j), dot(row(i), row(j)));
    };
    for (let i = 0; i < rows; i += 1) {
      const length = norm(row(i));
      removeEarlier(i);
      if (norm(row(i)) <= Math.max(floor, 1e-14 * length)) {
        row(i).set(this.#drawRows(1));
        removeEarlier(i);
      }
      scale(row(i), 1 / norm(row(i)));
    }
  }

  #drawRows(count: number): Float64Array {
    return Float64Array.from({ length: count * this.#matrix.rows }, () => this.#random.normal());
  }
}

/** The same rows at the start of a buffer that has room for more, so that appending copies no old row. */
function withRoom(matrix: Matrix64, rows: number): Matrix64 {
  const whole = new Float64Array(rows * matrix.columns);
  whole.set(matrix.data);
  return { ...matrix, data: whole.subarray(0, matrix.data.length) };
}

/** a with the rows of b after its own, in the buffer of a, which must have room. */
function appendRows(a: Matrix64, b: Matrix64): Matrix64 {
  const { buffer, byteOffset, length } = a.data;
  const data = new Float64Array(buffer, byteOffset, length + b.data.length);
  data.set(b.data, length);
  return { rows: a.rows + b.rows, columns: a.columns, data };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

function norm(a: Float64Array): number {
  return Math.sqrt(dot(a, a));
}

function scale(a: Float64Array, factor: number): void {
  for (let i = 0; i < a.length; i += 1) a[i] = (a[i] as number) * factor;
}

function subtractMultiple(a: Float64Array, b: Float64Array, factor: number): void {
  for (let i = 0; i < a.length; i += 1) a[i] = (a[i] as number) - factor * (b[i] as number);
}
