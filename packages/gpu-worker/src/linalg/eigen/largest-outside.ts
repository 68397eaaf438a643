import type { SeededRandom } from "@trommel/common";
import { denseEigenpairs } from "./dense-eigenpairs.js";
import type { Matrix64, MatrixProduct } from "../matrix-product.js";
import { orthonormaliseRows } from "./orthonormal-rows.js";

const blockSize = 8;
const steps = 6;

/**
 * A lower bound of the largest eigenvalue that a symmetric positive semidefinite matrix has outside some of its
 * eigenvectors, by a few steps of subspace iteration from a random start. A block Krylov space holds no more copies of an eigenvalue
 * than a block has vectors, and its residuals do not show it; this does, since its start is independent of that space.
 *
 * @param vectors [count, dimension], orthonormal
 */
export async function largestOutside(
  matrix: Matrix64,
  vectors: Matrix64,
  product: MatrixProduct,
  random: SeededRandom,
): Promise<number> {
  const dimension = matrix.rows;
  const draw = () => Float64Array.from({ length: dimension }, () => random.normal());
  const rows = Math.min(blockSize, dimension);
  const block = { rows, columns: dimension, data: new Float64Array(rows * dimension) };
  for (let i = 0; i < rows; i += 1) block.data.set(draw(), i * dimension);
  const removeKnown = async () => {
    const overlap = await product.multiply(block, vectors, { transposeB: true });
    const inside = await product.multiply(overlap, vectors);
    for (let i = 0; i < block.data.length; i += 1) {
      block.data[i] = (block.data[i] as number) - (inside.data[i] as number);
    }
  };
  for (let step = 0; ; step += 1) {
    await removeKnown();
    orthonormaliseRows(block, 1e-300, draw);
    // Again, since the rounding left of the known ones was magnified, and redrawn rows hold all of them.
    await removeKnown();
    const image = await product.multiply(block, matrix, { transposeB: true });
    if (step === steps) {
      const projected = await product.multiply(image, block, { transposeB: true });
      const { values } = await denseEigenpairs(projected, () => 1, product);
      return values[0] ?? 0;
    }
    block.data.set(image.data);
  }
}
