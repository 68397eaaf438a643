import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import type { Matrix64, MatrixProduct } from "../matrix-product.js";
import { consistentZ, secularRoot, type RankOneUpdate } from "./secular-equation.js";
import type { Tridiagonal } from "./tridiagonal-form.js";
import { norm } from "./vectors.js";

/** Eigenpairs, smallest eigenvalue first; row i of the vectors is the eigenvector of values[i]. */
interface AscendingPairs {
  readonly values: Float64Array;
  readonly vectors: Matrix64;
}

/** Parts up to this size go to ml-matrix. */
const leafSize = 32;

/** How many of the largest pairs are wanted, given all eigenvalues, smallest first. */
type Count = (values: Float64Array) => number;

const everyOne: Count = (values) => values.length;

/**
 * The largest eigenpairs of a symmetric tridiagonal matrix, by divide and conquer (Cuppen 1981; Gu & Eisenstat
 * 1995): the eigenvectors of two halves are joined by products in ONNX Runtime.
 */
export async function tridiagonalEigenpairs(
  matrix: Tridiagonal,
  count: Count,
  product: MatrixProduct,
): Promise<AscendingPairs> {
  const size = matrix.diagonal.length;
  if (size <= leafSize) return largest(leafEigenpairs(matrix), count);
  const middle = size >> 1;
  const coupling = matrix.offDiagonal[middle - 1] as number;
  const diagonal = matrix.diagonal.slice();
  for (const i of [middle - 1, middle]) diagonal[i] = (diagonal[i] as number) - Math.abs(coupling);
  const upper = await tridiagonalEigenpairs(
    { diagonal: diagonal.subarray(0, middle), offDiagonal: matrix.offDiagonal.subarray(0, middle - 1) },
    everyOne,
    product,
  );
  const lower = await tridiagonalEigenpairs(
    { diagonal: diagonal.subarray(middle), offDiagonal: matrix.offDiagonal.subarray(middle) },
    everyOne,
    product,
  );
  return joined(upper, lower, coupling, count, product);
}

function leafEigenpairs({ diagonal, offDiagonal }: Tridiagonal): AscendingPairs {
  const size = diagonal.length;
  const matrix = Matrix.zeros(size, size);
  for (let i = 0; i < size; i += 1) {
    matrix.set(i, i, diagonal[i] as number);
    if (i + 1 === size) break;
    matrix.set(i, i + 1, offDiagonal[i] as number);
    matrix.set(i + 1, i, offDiagonal[i] as number);
  }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const order = ascendingOrder(realEigenvalues);
  const data = new Float64Array(size * size);
  for (const [rank, column] of order.entries()) {
    for (let i = 0; i < size; i += 1) data[rank * size + i] = eigenvectorMatrix.get(i, column);
  }
  const values = Float64Array.from(order, (column) => realEigenvalues[column] as number);
  return { values, vectors: { rows: size, columns: size, data } };
}

function ascendingOrder(values: ArrayLike<number>): number[] {
  return Array.from({ length: values.length }, (_, i) => i).sort(
    (a, b) => (values[a] as number) - (values[b] as number) || a - b,
  );
}

function largest({ values, vectors }: AscendingPairs, count: Count): AscendingPairs {
  const { rows, columns, data } = vectors;
  const wanted = count(values);
  return {
    values: values.slice(rows - wanted),
    vectors: { rows: wanted, columns, data: data.slice((rows - wanted) * columns) },
  };
}

/** The pairs of the whole: its halves' eigenvalues on a diagonal, plus |coupling|·uuᵀ in their eigenvectors. */
async function joined(
  upper: AscendingPairs,
  lower: AscendingPairs,
  coupling: number,
  count: Count,
  product: MatrixProduct,
): Promise<AscendingPairs> {
  const [half, rest] = [upper.values.length, lower.values.length];
  const size = half + rest;
  const poles = Float64Array.from([...upper.values, ...lower.values]);
  const z = new Float64Array(size);
  const sign = coupling < 0 ? -1 : 1;
  for (let i = 0; i < half; i += 1) z[i] = (upper.vectors.data[i * half + half - 1] as number) * Math.SQRT1_2;
  for (let i = 0; i < rest; i += 1)
    z[half + i] = sign * (lower.vectors.data[i * rest] as number) * Math.SQRT1_2;
  const inner = innerEigenpairs({ poles, z, weight: 2 * Math.abs(coupling) }, count);
  const left = await product.multiply(columnsOf(inner.vectors, 0, half), upper.vectors);
  const right = await product.multiply(columnsOf(inner.vectors, half, size), lower.vectors);
  const data = new Float64Array(inner.values.length * size);
  for (let i = 0; i < inner.values.length; i += 1) {
    data.set(left.data.subarray(i * half, (i + 1) * half), i * size);
    data.set(right.data.subarray(i * rest, (i + 1) * rest), i * size + half);
  }
  return { values: inner.values, vectors: { ...inner.vectors, data } };
}

function columnsOf({ rows, columns, data }: Matrix64, start: number, end: number): Matrix64 {
  const part = new Float64Array(rows * (end - start));
  for (let i = 0; i < rows; i += 1) {
    part.set(data.subarray(i * columns + start, i * columns + end), i * (end - start));
  }
  return { rows, columns: end - start, data: part };
}

/** A plane rotation of coordinates: the first becomes an eigenvector's own, the second stays in the problem. */
interface Rotation {
  readonly first: number;
  readonly second: number;
  readonly cosine: number;
  readonly sine: number;
}

/** The largest eigenpairs of diag(poles) + weight·zzᵀ for poles in any order. */
function innerEigenpairs(update: RankOneUpdate, count: Count): AscendingPairs {
  const size = update.poles.length;
  const { kept, settled, rotations, poles, z } = deflate(update);
  const secular = {
    poles: Float64Array.from(kept, (i) => poles[i] as number),
    z: Float64Array.from(kept, (i) => z[i] as number),
    weight: update.weight,
  };
  const differences = kept.map(() => new Float64Array(kept.length));
  const roots = differences.map((row, j) => secularRoot(secular, j, row));
  const consistent = consistentZ(secular, differences);
  const values = [...roots, ...settled.map((i) => poles[i] as number)];
  const ascending = ascendingOrder(values);
  const wanted = count(Float64Array.from(ascending, (which) => values[which] as number));
  const order = ascending.slice(size - wanted);
  const vectors = { rows: wanted, columns: size, data: new Float64Array(wanted * size) };
  for (const [rank, which] of order.entries()) {
    const row = vectors.data.subarray(rank * size, (rank + 1) * size);
    const own = differences[which];
    if (own === undefined) {
      row[settled[which - kept.length] as number] = 1;
      continue;
    }
    for (let i = 0; i < own.length; i += 1) own[i] = (consistent[i] as number) / (own[i] as number);
    const length = norm(own);
    for (const [i, at] of kept.entries()) row[at] = (own[i] as number) / length;
  }
  undoRotations(vectors, rotations);
  return { values: Float64Array.from(order, (which) => values[which] as number), vectors };
}

interface Deflated {
  /** Coordinates of the secular equation, by ascending pole. */
  readonly kept: readonly number[];
  /** Coordinates that are eigenvectors as they are. */
  readonly settled: readonly number[];
  readonly rotations: readonly Rotation[];
  readonly poles: Float64Array;
  readonly z: Float64Array;
}

/**
 * Sets aside the coordinates that the update does not move by more than rounding: those with no weight in z, and of two whose
 * poles are as good as equal one, after a rotation that takes its weight (LAPACK's dlaed2).
 */
function deflate(update: RankOneUpdate): Deflated {
  const [poles, z] = [update.poles.slice(), update.z.slice()];
  const magnitude = poles.reduce((most, pole) => Math.max(most, Math.abs(pole)), update.weight);
  const tolerance = 8 * Number.EPSILON * magnitude;
  const [kept, settled, rotations]: [number[], number[], Rotation[]] = [[], [], []];
  for (const second of ascendingOrder(poles)) {
    const weight = z[second] as number;
    if (update.weight * Math.abs(weight) <= tolerance) {
      settled.push(second);
      continue;
    }
    const first = kept.at(-1);
    if (first !== undefined) {
      const length = Math.hypot(z[first] as number, weight);
      const [cosine, sine] = [weight / length, (z[first] as number) / length];
      const [low, high] = [poles[first] as number, poles[second] as number];
      if (Math.abs((high - low) * cosine * sine) <= tolerance) {
        kept.pop();
        settled.push(first);
        rotations.push({ first, second, cosine, sine });
        z[first] = 0;
        z[second] = length;
        poles[first] = low * cosine ** 2 + high * sine ** 2;
        poles[second] = low * sine ** 2 + high * cosine ** 2;
      }
    }
    kept.push(second);
  }
  return { kept, settled, rotations, poles, z };
}

/** From the rotated coordinates back to those before, in place. */
function undoRotations({ rows, columns, data }: Matrix64, rotations: readonly Rotation[]): void {
  for (const { first, second, cosine, sine } of rotations.toReversed()) {
    for (let at = 0; at < rows * columns; at += columns) {
      const [x, y] = [data[at + first] as number, data[at + second] as number];
      data[at + first] = cosine * x + sine * y;
      data[at + second] = cosine * y - sine * x;
    }
  }
}
