import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import type { Matrix64 } from "./matrix-product.js";

/** Eigenpairs of a symmetric matrix, largest eigenvalue first. */
export interface Eigenpairs {
  readonly values: Float64Array;
  /** [values.length, dimension]: row i is the eigenvector of values[i]. */
  readonly vectors: Matrix64;
}

/** Every eigenpair of a symmetric matrix, by ml-matrix (Householder tridiagonalisation and implicit QL). */
export function denseEigenpairs(matrix: Matrix64): Eigenpairs {
  const size = matrix.rows;
  const rows = Array.from({ length: size }, (_, i) => matrix.data.subarray(i * size, (i + 1) * size));
  const decomposition = new EigenvalueDecomposition(new Matrix(rows), {
    assumeSymmetric: true,
  });
  const { realEigenvalues, eigenvectorMatrix } = decomposition;
  const order = Array.from(realEigenvalues.keys()).sort(
    (a, b) => (realEigenvalues[b] as number) - (realEigenvalues[a] as number) || a - b,
  );
  const data = new Float64Array(size * size);
  for (const [rank, column] of order.entries()) {
    for (let i = 0; i < size; i += 1) data[rank * size + i] = eigenvectorMatrix.get(i, column);
  }
  return {
    values: Float64Array.from(order, (column) => realEigenvalues[column] as number),
    vectors: { rows: size, columns: size, data },
  };
}
