import type { Matrix64, MatrixProduct } from "../matrix-product.js";
import { dot, norm, scale, subtractMultiple } from "./vectors.js";

/** A symmetric tridiagonal matrix. */
export interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** One shorter than the diagonal. */
  readonly offDiagonal: Float64Array;
}

/** A = H₀H₁… T …H₁H₀ with Hᵢ = I − τᵢvᵢvᵢᵀ. */
export interface TridiagonalForm extends Tridiagonal {
  /** [dimension − 1, dimension]: row i is vᵢ, zero up to and with column i. */
  readonly reflectors: Matrix64;
  readonly factors: Float64Array;
}

/** Columns that are reduced before the rest of the matrix is updated; also the number of reflectors applied at once. */
const panelSize = 32;
/** Columns of the rest that are updated at a time, which bounds the memory of a product. */
const tileColumns = 1024;

/**
 * Reduces a symmetric matrix to tridiagonal form by Householder reflections, a panel of columns at a time (Dongarra,
 * Sorensen & Hammarling 1989, LAPACK's dsytrd). All that costs the cube of the size is a product in ONNX Runtime.
 *
 * @param matrix [dimension, dimension], dimension at least 1; not changed
 */
export async function toTridiagonalForm(matrix: Matrix64, product: MatrixProduct): Promise<TridiagonalForm> {
  const dimension = matrix.rows;
  const form = {
    diagonal: new Float64Array(dimension),
    offDiagonal: new Float64Array(dimension - 1),
    factors: new Float64Array(dimension - 1),
    reflectors: {
      rows: dimension - 1,
      columns: dimension,
      data: new Float64Array((dimension - 1) * dimension),
    },
  };
  let rest: Matrix64 = { ...matrix, data: matrix.data.slice() };
  for (let start = 0; start < dimension; start += panelSize) {
    const panel = await reducePanel(rest, start, form, product);
    rest = await withoutPanel(rest, panel, product);
  }
  return form;
}

/** Row i is the vector vᵢ (or wᵢ) of the reduction of column i: the rest becomes rest − VᵀW − WᵀV. */
interface Panel {
  readonly v: readonly Float64Array[];
  readonly w: readonly Float64Array[];
}

/** Reduces the first columns of `rest`, which itself keeps its values, and writes the results to `form` from `start`. */
async function reducePanel(
  rest: Matrix64,
  start: number,
  form: TridiagonalForm,
  product: MatrixProduct,
): Promise<Panel> {
  const size = rest.rows;
  const [v, w]: [Float64Array[], Float64Array[]] = [[], []];
  for (let j = 0; j < Math.min(panelSize, size); j += 1) {
    const column = rest.data.slice(j * size, (j + 1) * size);
    for (let i = 0; i < j; i += 1) {
      subtractMultiple(column, w[i] as Float64Array, (v[i] as Float64Array)[j] as number);
      subtractMultiple(column, v[i] as Float64Array, (w[i] as Float64Array)[j] as number);
    }
    form.diagonal[start + j] = column[j] as number;
    if (j + 1 === size) break;
    const { factor, result } = toReflector(column, j + 1);
    form.offDiagonal[start + j] = result;
    form.factors[start + j] = factor;
    form.reflectors.data.set(column, (start + j) * form.reflectors.columns + start);
    const image = (await product.multiply(rest, { rows: size, columns: 1, data: column })).data;
    for (let i = 0; i < j; i += 1) {
      const [vi, wi] = [v[i] as Float64Array, w[i] as Float64Array];
      const [alongV, alongW] = [dot(vi, column), dot(wi, column)];
      subtractMultiple(image, vi, alongW);
      subtractMultiple(image, wi, alongV);
    }
    scale(image, factor);
    subtractMultiple(image, column, (factor / 2) * dot(image, column));
    v.push(column);
    w.push(image);
  }
  return { v, w };
}

/**
 * Turns x = `column` from `from` on, in place, into the v of a reflection with (I − τvvᵀ)x = ±‖x‖e₁, and what comes before
 * into zeros.
 */
function toReflector(column: Float64Array, from: number): { factor: number; result: number } {
  column.fill(0, 0, from);
  const x = column.subarray(from);
  const first = x[0] as number;
  const length = norm(x);
  const below = norm(x.subarray(1));
  if (below === 0) {
    column.fill(0, from);
    return { factor: 0, result: first };
  }
  const result = first > 0 ? -length : length;
  scale(x, 1 / (first - result));
  x[0] = 1;
  return { factor: (result - first) / result, result };
}

/** The rest without the panel's columns and rows, with its reflections applied; in the same memory. */
async function withoutPanel(rest: Matrix64, { v, w }: Panel, product: MatrixProduct): Promise<Matrix64> {
  const { rows: before, data } = rest;
  const size = Math.max(0, before - panelSize);
  for (let i = 0; i < size; i += 1) {
    const from = (i + panelSize) * before + panelSize;
    data.copyWithin(i * size, from, from + size);
  }
  const smaller = { rows: size, columns: size, data: data.subarray(0, size * size) };
  if (size === 0) return smaller;
  const left = stack([...v, ...w], panelSize, before);
  for (let start = 0; start < size; start += tileColumns) {
    const width = Math.min(tileColumns, size - start);
    const right = stack([...w, ...v], panelSize + start, panelSize + start + width);
    const update = await product.multiply(left, right, { transposeA: true });
    for (let i = 0; i < size; i += 1) {
      const at = i * size + start;
      for (let j = 0; j < width; j += 1) {
        data[at + j] = (data[at + j] as number) - (update.data[i * width + j] as number);
      }
    }
  }
  return smaller;
}

/** The entries from `start` to `end` of each vector, one vector per row. */
function stack(vectors: readonly Float64Array[], start: number, end: number): Matrix64 {
  const columns = end - start;
  const data = new Float64Array(vectors.length * columns);
  for (const [i, vector] of vectors.entries()) data.set(vector.subarray(start, end), i * columns);
  return { rows: vectors.length, columns, data };
}

/**
 * Turns eigenvectors of the tridiagonal form into those of the original matrix: H₀H₁…·y for each row y, in place
 * (compact WY form; Schreiber & Van Loan 1989).
 *
 * @param vectors [count, dimension]
 */
export async function applyReflectors(
  vectors: Matrix64,
  form: TridiagonalForm,
  product: MatrixProduct,
): Promise<void> {
  const { rows, columns, data } = form.reflectors;
  const groupSize = 2 * panelSize;
  for (let start = Math.floor((rows - 1) / groupSize) * groupSize; start >= 0; start -= groupSize) {
    const size = Math.min(groupSize, rows - start);
    const group = { rows: size, columns, data: data.subarray(start * columns, (start + size) * columns) };
    const triangle = await triangularFactor(group, form.factors.subarray(start, start + size), product);
    const along = await product.multiply(vectors, group, { transposeB: true });
    const combined = await product.multiply(along, triangle, { transposeB: true });
    const update = await product.multiply(combined, group);
    for (let i = 0; i < update.data.length; i += 1) {
      vectors.data[i] = (vectors.data[i] as number) - (update.data[i] as number);
    }
  }
}

/** The upper triangular T with H₀H₁… = I − VᵀTV, for reflectors in the rows of V (LAPACK's dlarft). */
async function triangularFactor(
  group: Matrix64,
  factors: Float64Array,
  product: MatrixProduct,
): Promise<Matrix64> {
  const size = group.rows;
  const overlaps = (await product.multiply(group, group, { transposeB: true })).data;
  const data = new Float64Array(size * size);
  for (let j = 0; j < size; j += 1) {
    const factor = factors[j] as number;
    data[j * size + j] = factor;
    for (let i = 0; i < j; i += 1) {
      let sum = 0;
      for (let l = i; l < j; l += 1)
        sum += (data[i * size + l] as number) * (overlaps[l * size + j] as number);
      data[i * size + j] = -factor * sum;
    }
  }
  return { rows: size, columns: size, data };
}
