import type { Matrix64, MatrixProduct } from "../../linalg/matrix-product.js";
import type { NoveltyStatistics } from "./fit-statistics.js";

/** The two parts of distances, one number a row; see `fitStatistics`. */
export interface DistanceParts {
  readonly relative: Float64Array;
  readonly minor: Float64Array;
}

/** @param rows [rows, used], not centred */
export async function distanceParts(
  { mean, directions, offsets, coupling, minor }: NoveltyStatistics,
  rows: Matrix64,
  product: MatrixProduct,
): Promise<DistanceParts> {
  const centred = {
    ...rows,
    data: rows.data.map((value, at) => value - (mean[at % rows.columns] as number)),
  };
  const scores = await product.multiply(centred, directions, { transposeB: true });
  const coupled = await product.multiply(scores, coupling);
  const along = await product.multiply(centred, minor, { transposeB: true });
  const relative = new Float64Array(rows.rows);
  const energy = new Float64Array(rows.rows);
  for (let row = 0; row < rows.rows; row += 1) {
    let nearest = Infinity;
    let quadratic = 0;
    for (let k = 0, at = row * offsets.length; k < offsets.length; k += 1, at += 1) {
      const score = scores.data[at] as number;
      nearest = Math.min(nearest, (offsets[k] as number) - 2 * score);
      quadratic += score * (coupled.data[at] as number);
    }
    relative[row] = nearest + quadratic;
    for (let k = 0, at = row * minor.rows; k < minor.rows; k += 1, at += 1) {
      energy[row] = (energy[row] as number) + (along.data[at] as number) ** 2;
    }
  }
  return { relative, minor: energy };
}
