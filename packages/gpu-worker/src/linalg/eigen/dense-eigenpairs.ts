import type { Matrix64, MatrixProduct } from "../matrix-product.js";
import { tridiagonalEigenpairs } from "./tridiagonal-eigenpairs.js";
import { applyReflectors, toTridiagonalForm } from "./tridiagonal-form.js";

/** Eigenpairs of a symmetric matrix, largest eigenvalue first. */
export interface Eigenpairs {
  readonly values: Float64Array;
  /** [values.length, dimension]: row i is the eigenvector of values[i]. */
  readonly vectors: Matrix64;
}

/**
 * The largest eigenpairs of a symmetric matrix by a full decomposition: Householder tridiagonalisation, divide and conquer,
 * and back-transformation of the wanted vectors. Eigenvalues are right to about 2⁻⁵² of the largest magnitude.
 *
 * @param count how many, given all eigenvalues, largest first
 */
export async function denseEigenpairs(
  matrix: Matrix64,
  count: (values: Float64Array) => number,
  product: MatrixProduct,
): Promise<Eigenpairs> {
  const form = await toTridiagonalForm(matrix, product);
  const { values, vectors } = await tridiagonalEigenpairs(form, (all) => count(all.toReversed()), product);
  const largestFirst = reversedRows(vectors);
  await applyReflectors(largestFirst, form, product);
  return { values: values.toReversed(), vectors: largestFirst };
}

function reversedRows({ rows, columns, data }: Matrix64): Matrix64 {
  const reversed = new Float64Array(data.length);
  for (let i = 0; i < rows; i += 1) {
    const from = (rows - 1 - i) * columns;
    reversed.set(data.subarray(from, from + columns), i * columns);
  }
  return { rows, columns, data: reversed };
}
