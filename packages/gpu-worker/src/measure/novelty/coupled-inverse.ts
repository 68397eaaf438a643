import type { Matrix64 } from "../../linalg/matrix-product.js";

/** D (I + D·G·D)⁻¹ D, where D has the roots of the shares on its diagonal and G is symmetric and positive semidefinite. */
export function coupledInverse(g: Matrix64, shares: Float64Array): Matrix64 {
  const size = g.rows;
  const roots = shares.map(Math.sqrt);
  const lower = choleskyOf(
    Float64Array.from(g.data, (value, at) => {
      const [row, column] = [Math.floor(at / size), at % size];
      return (roots[row] as number) * value * (roots[column] as number) + (row === column ? 1 : 0);
    }),
    size,
  );
  const data = new Float64Array(size * size);
  for (let column = 0; column < size; column += 1) {
    const unit = new Float64Array(size);
    unit[column] = 1;
    for (const [row, value] of solveCholesky(lower, unit).entries()) {
      data[row * size + column] = (roots[row] as number) * value * (roots[column] as number);
    }
  }
  return { rows: size, columns: size, data };
}

/** The lower triangular L with L·Lᵀ = matrix. */
function choleskyOf(matrix: Float64Array, size: number): Float64Array {
  const lower = new Float64Array(size * size);
  for (let i = 0; i < size; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      let sum = matrix[i * size + j] as number;
      for (let k = 0; k < j; k += 1) sum -= (lower[i * size + k] as number) * (lower[j * size + k] as number);
      lower[i * size + j] = i === j ? Math.sqrt(sum) : sum / (lower[j * (size + 1)] as number);
    }
  }
  return lower;
}

/** Solves L·Lᵀ x = right, in place. */
function solveCholesky(lower: Float64Array, right: Float64Array): Float64Array {
  const size = right.length;
  for (let i = 0; i < size; i += 1) {
    let sum = right[i] as number;
    for (let k = 0; k < i; k += 1) sum -= (lower[i * size + k] as number) * (right[k] as number);
    right[i] = sum / (lower[i * (size + 1)] as number);
  }
  for (let i = size - 1; i >= 0; i -= 1) {
    let sum = right[i] as number;
    for (let k = i + 1; k < size; k += 1) sum -= (lower[k * size + i] as number) * (right[k] as number);
    right[i] = sum / (lower[i * (size + 1)] as number);
  }
  return right;
}
