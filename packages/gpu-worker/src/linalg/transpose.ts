/** Matrices are transposed by tiles of this side, which stay in the processor's cache. */
const tileSide = 16;

type Values = Float32Array | Float64Array;

/**
 * Writes a matrix's transpose.
 *
 * @param from [rows, columns], row-major
 * @param into [columns, rows]
 * @param less one number per column, subtracted from each of its values in float64. @default nothing
 */
export function transposeInto(from: Values, columns: number, into: Values, less?: Float32Array): void {
  const rows = from.length / columns;
  for (let left = 0; left < columns; left += tileSide) {
    const right = Math.min(left + tileSide, columns);
    for (let top = 0; top < rows; top += tileSide) {
      const bottom = Math.min(top + tileSide, rows);
      for (let j = left; j < right; j += 1) {
        const offset = less === undefined ? 0 : (less[j] as number);
        for (let i = top; i < bottom; i += 1) into[j * rows + i] = (from[i * columns + j] as number) - offset;
      }
    }
  }
}

/** Copies what lies below the diagonal of a square matrix to above it. */
export function mirrorLower(matrix: Float64Array, dimension: number): void {
  for (let left = 0; left < dimension; left += tileSide) {
    const right = Math.min(left + tileSide, dimension);
    for (let top = left; top < dimension; top += tileSide) {
      const bottom = Math.min(top + tileSide, dimension);
      for (let j = left; j < right; j += 1) {
        for (let i = Math.max(top, j + 1); i < bottom; i += 1) {
          matrix[j * dimension + i] = matrix[i * dimension + j] as number;
        }
      }
    }
  }
}
