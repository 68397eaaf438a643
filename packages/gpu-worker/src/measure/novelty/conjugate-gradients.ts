import type { Matrix64, MatrixProduct } from "../../linalg/matrix-product.js";

/** Relative to the right-hand side. */
const leastResidual = 1e-9;
const mostSteps = 500;

/**
 * Solves (matrix + ridge · I) xᵢ = bᵢ for every row of `right` by conjugate gradients (Hestenes and Stiefel 1952).
 * @param matrix symmetric, positive semidefinite
 * @param ridge above zero
 * @returns the solutions as rows
 */
export async function solveRidge(
  matrix: Matrix64,
  ridge: number,
  right: Matrix64,
  product: MatrixProduct,
): Promise<Matrix64> {
  const { rows, columns } = right;
  const solution = new Float64Array(rows * columns);
  const residual = right.data.slice();
  const direction = right.data.slice();
  const wanted = dots(right.data, right.data, right).map((square) => square * leastResidual ** 2);
  let squares = dots(residual, residual, right);
  for (let step = 0; step < mostSteps; step += 1) {
    if (squares.every((square, row) => square <= (wanted[row] as number))) break;
    const { data: image } = await product.multiply({ rows, columns, data: direction }, matrix);
    addRows(image, direction, new Float64Array(rows).fill(ridge), right);
    const curvatures = dots(direction, image, right);
    const lengths = squares.map((square, row) => ratio(square, curvatures[row] as number));
    addRows(solution, direction, lengths, right);
    addRows(
      residual,
      image,
      lengths.map((length) => -length),
      right,
    );
    const next = dots(residual, residual, right);
    for (let row = 0, i = 0; row < rows; row += 1) {
      const kept = ratio(next[row] as number, squares[row] as number);
      for (let column = 0; column < columns; column += 1, i += 1) {
        direction[i] = (residual[i] as number) + kept * (direction[i] as number);
      }
    }
    squares = next;
  }
  return { rows, columns, data: solution };
}

/** The dot product of every row. */
function dots(a: Float64Array, b: Float64Array, { rows, columns }: Matrix64): Float64Array {
  const sums = new Float64Array(rows);
  for (let row = 0, i = 0; row < rows; row += 1) {
    let sum = 0;
    for (let column = 0; column < columns; column += 1, i += 1) sum += (a[i] as number) * (b[i] as number);
    sums[row] = sum;
  }
  return sums;
}

/** sum ← sum + factor · row, each row with its own factor. */
function addRows(
  sum: Float64Array,
  terms: Float64Array,
  factors: Float64Array,
  { rows, columns }: Matrix64,
): void {
  for (let row = 0, i = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1, i += 1) {
      sum[i] = (sum[i] as number) + (factors[row] as number) * (terms[i] as number);
    }
  }
}

/** A row that is solved has nothing left to divide. */
function ratio(above: number, below: number): number {
  return below === 0 ? 0 : above / below;
}
