import { denseEigenpairs } from "../../linalg/eigen/dense-eigenpairs.js";
import type { Matrix64, MatrixProduct } from "../../linalg/matrix-product.js";
import { solveRidge } from "./conjugate-gradients.js";
import type { Moments } from "./moments.js";
import { coupledInverse } from "./coupled-inverse.js";

/** What distances are made of, before their two parts are weighed. */
export interface NoveltyStatistics {
  /** [used] */
  readonly mean: Float64Array;
  /** [classes, used]: of the classes that have rows. */
  readonly directions: Matrix64;
  /** [classes] */
  readonly offsets: Float64Array;
  /** [classes, classes] */
  readonly coupling: Matrix64;
  /** [minor, used] */
  readonly minor: Matrix64;
}

/** Minor directions: as many, but at most an eighth of the features. */
const mostMinor = 128;

/**
 * The two parts of a distance, from sums over training rows.
 *
 * Relative Mahalanobis distance (Ren et al. 2021), to the nearest class mean less to the mean of all, with the covariance W
 * within classes and that of all rows, T = W + Σ π_k m_k m_kᵀ, both with the mean variance t of all rows added to the diagonal: it
 * takes out what moves images in all classes alike. With A = (W + tI)⁻¹, M the class means less the mean, G = M A Mᵀ, Π the
 * classes' shares and u = M A c, it is min_k(G_kk − 2 u_k) + u·Π^½ (I + Π^½ G Π^½)⁻¹ Π^½·uᵀ (Woodbury's identity), which needs
 * K directions only.
 *
 * The energy along the minor directions, T's eigenvectors of least eigenvalue: training images hardly differ there, drawn
 * pictures and noise do.
 */
export async function fitStatistics(
  { rowCount, products, classCounts, classSums }: Moments,
  product: MatrixProduct,
): Promise<NoveltyStatistics> {
  const classCount = classCounts.length;
  const width = classSums.length / classCount;
  const mean = new Float64Array(width);
  for (let i = 0; i < classSums.length; i += 1) {
    mean[i % width] = (mean[i % width] as number) + (classSums[i] as number) / rowCount;
  }
  const present = Array.from(classCounts.keys()).filter((index) => (classCounts[index] as number) > 0);
  const shares = Float64Array.from(present, (index) => (classCounts[index] as number) / rowCount);
  const means = new Float64Array(present.length * width);
  for (const [row, index] of present.entries()) {
    for (let i = 0; i < width; i += 1) {
      means[row * width + i] =
        (classSums[index * width + i] as number) / (classCounts[index] as number) - (mean[i] as number);
    }
  }
  const total: Matrix64 = { rows: width, columns: width, data: products.map((sum) => sum / rowCount) };
  addOuterProducts(total, { rows: 1, columns: width, data: mean }, Float64Array.of(-1));
  const minor = await minorDirections(total, product);
  const ridge = meanOfDiagonal(total);
  // From here on the covariance within classes.
  const centred: Matrix64 = { rows: present.length, columns: width, data: means };
  addOuterProducts(
    total,
    centred,
    shares.map((share) => -share),
  );
  const directions = await solveRidge(total, ridge, centred, product);
  const between = await product.multiply(centred, directions, { transposeB: true });
  return {
    mean,
    directions,
    offsets: Float64Array.from(present, (_, row) => between.data[row * (present.length + 1)] as number),
    coupling: coupledInverse(between, shares),
    minor,
  };
}

/** Eigenvectors of least eigenvalue, as rows. */
async function minorDirections(covariance: Matrix64, product: MatrixProduct): Promise<Matrix64> {
  const count = Math.min(mostMinor, Math.ceil(covariance.rows / 8));
  const negative = { ...covariance, data: covariance.data.map((value) => -value) };
  return (await denseEigenpairs(negative, () => count, product)).vectors;
}

/** matrix ← matrix + Σ factor · rowᵀ·row */
function addOuterProducts(matrix: Matrix64, { rows, columns, data }: Matrix64, factors: Float64Array): void {
  for (let row = 0; row < rows; row += 1) {
    const own = data.subarray(row * columns, (row + 1) * columns);
    for (let i = 0; i < columns; i += 1) {
      const factor = (factors[row] as number) * (own[i] as number);
      const target = matrix.data.subarray(i * columns, (i + 1) * columns);
      for (let j = 0; j < columns; j += 1) target[j] = (target[j] as number) + factor * (own[j] as number);
    }
  }
}

function meanOfDiagonal({ rows, data }: Matrix64): number {
  let sum = 0;
  for (let i = 0; i < rows; i += 1) sum += data[i * (rows + 1)] as number;
  return sum / rows;
}
