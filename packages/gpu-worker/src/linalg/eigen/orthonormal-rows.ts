import type { Matrix64 } from "../matrix-product.js";
import { dot, norm, scale, subtractMultiple } from "./vectors.js";

/**
 * Modified Gram–Schmidt over the rows, in place. A row that is not longer than `floor`, or that vanishes once the rows before
 * it are taken out, is redrawn.
 *
 * @returns whether a row was redrawn
 */
export function orthonormaliseRows(
  { rows, columns, data }: Matrix64,
  floor: number,
  draw: () => Float64Array,
): boolean {
  const row = Array.from({ length: rows }, (_, i) => data.subarray(i * columns, (i + 1) * columns));
  let drawn = false;
  const removeEarlier = (own: Float64Array, count: number) => {
    for (const earlier of row.slice(0, count)) subtractMultiple(own, earlier, dot(own, earlier));
  };
  for (const [i, own] of row.entries()) {
    const length = norm(own);
    removeEarlier(own, i);
    if (norm(own) <= Math.max(floor, 1e-14 * length)) {
      own.set(draw());
      removeEarlier(own, i);
      drawn = true;
    }
    scale(own, 1 / norm(own));
  }
  return drawn;
}
