import { TrommelError, seedFrom, type Gram, type Projection, type SvdRecipe } from "@trommel/common";
import type { Eigenpairs } from "./eigen/dense-eigenpairs.js";
import type { Matrix64, MatrixProduct } from "./matrix-product.js";
import { topEigenpairs } from "./eigen/top-eigenpairs.js";

/** An eigenvalue this many times larger than the rounding error of its Gram matrix belongs to the rows with hardly any doubt. */
export const leastSettled = 4;

export interface SolveProjectionOptions {
  readonly seed: number;
  readonly product: MatrixProduct;
  /** Matrices up to this size are decomposed whole instead of by iteration. @default 512 */
  readonly denseDimension?: number;
}

/**
 * The truncated SVD of the rows behind a Gram matrix: eigenpairs of XᵀX, or of Σ(x − mean)(x − mean)ᵀ where the recipe
 * centres.
 *
 * Components: the smallest multiple of `step` whose squared singular values reach `energy` of the trace, but never more than
 * the numerical rank, which is the number of eigenvalues above dimension · 2⁻⁵² · trace of the Gram. Few images often have a
 * rank below one step; the projection then has exactly the rank, since any further axis would be rounding noise.
 *
 * @throws TrommelError `bad-dataset` when there is no row or every row (less the mean, where centred) is zero,
 *   `corrupt` when the Gram holds a value that is not finite
 */
export async function solveProjection(
  gram: Gram,
  recipe: SvdRecipe,
  options: SolveProjectionOptions,
): Promise<Projection> {
  const matrix = recipe.centre ? centred(gram) : asMatrix(gram);
  const total = trace(matrix);
  checkGram(gram, total);
  const rankFloor = gram.dimension * Number.EPSILON * trace(asMatrix(gram));
  const countWanted = (values: Float64Array) => countComponents(values, { recipe, total, rankFloor, gram });
  const pairs = await topEigenpairs(matrix, {
    product: options.product,
    seed: seedFrom(options.seed, "svd"),
    countWanted,
    leastSum: leastEnergy(recipe, total),
    ...(options.denseDimension === undefined ? {} : { denseDimension: options.denseDimension }),
  });
  const components = pairs.values.length;
  if (components === 0) {
    throw new TrommelError(
      "bad-dataset",
      `cannot compute the SVD: all ${gram.rowCount} embeddings are ${recipe.centre ? "the same" : "zero"}. ` +
        "Check that the images differ and that the backbone's weights are right",
      { context: { rows: gram.rowCount, dimension: gram.dimension } },
    );
  }
  return toProjection(gram, recipe, pairs, total);
}

/**
 * Whether a projection keeps what the projection from the exact Gram matrix would have kept: none of its eigenvalues can be
 * rounding noise of the float32 products, and no such eigenvalue decided their number. Directions whose eigenvalues differ by
 * no more than that rounding may be mixed, since they hold the same energy. If false, the rows must be summed in float64.
 */
export function isSettled(
  { components, singularValues, dimension }: Projection,
  { roundingError }: Gram,
  { step }: SvdRecipe,
): boolean {
  if (roundingError === undefined) return true;
  const endsByRank = components % step !== 0 && components !== dimension;
  return !endsByRank && (singularValues.at(-1) ?? 0) ** 2 > leastSettled * roundingError;
}

interface CountInputs {
  readonly recipe: SvdRecipe;
  readonly total: number;
  readonly rankFloor: number;
  readonly gram: Gram;
}

/** The number of components to keep, given the leading eigenvalues; undefined if that needs more of them. */
function countComponents(values: Float64Array, inputs: CountInputs): number | undefined {
  const { recipe, total, rankFloor, gram } = inputs;
  const past = values.findIndex((value) => value <= rankFloor);
  const known = past === -1 ? values.length : past;
  const rankIsKnown = past !== -1 || values.length === gram.dimension;
  let kept = 0;
  for (let count = 1; count <= known; count += 1) {
    kept += values[count - 1] as number;
    if (count % recipe.step === 0 && kept >= leastEnergy(recipe, total)) return count;
  }
  return rankIsKnown ? known : undefined;
}

/** The sum of all eigenvalues and the trace are the same number only up to rounding. */
function leastEnergy({ energy }: SvdRecipe, total: number): number {
  return energy * total * (1 - 1e-12);
}

function toProjection(gram: Gram, recipe: SvdRecipe, pairs: Eigenpairs, total: number): Projection {
  const { dimension, rowCount } = gram;
  const components = pairs.values.length;
  const basis = new Float32Array(dimension * components);
  for (let k = 0; k < components; k += 1) {
    const vector = pairs.vectors.data.subarray(k * dimension, (k + 1) * dimension);
    const sign = signOfLargest(vector);
    for (let i = 0; i < dimension; i += 1) basis[i * components + k] = sign * (vector[i] as number);
  }
  const kept = pairs.values.reduce((sum, value) => sum + value, 0);
  return {
    dimension,
    components,
    mean: recipe.centre
      ? Float32Array.from(gram.columnSum, (sum) => sum / rowCount)
      : new Float32Array(dimension),
    basis,
    singularValues: pairs.values.map(Math.sqrt),
    scale: Math.sqrt(rowCount / kept),
    energyKept: Math.min(1, kept / total),
  };
}

/** 1 where the entry of largest magnitude (the first of them on a tie) is positive, else -1. */
function signOfLargest(vector: Float64Array): number {
  let largest = 0;
  for (const value of vector) if (Math.abs(value) > Math.abs(largest)) largest = value;
  return largest < 0 ? -1 : 1;
}

/** XᵀX − n·mean·meanᵀ */
function centred(gram: Gram): Matrix64 {
  const { dimension, columnSum, rowCount } = gram;
  const data = new Float64Array(dimension * dimension);
  for (let i = 0; i < dimension; i += 1) {
    const meanI = (columnSum[i] as number) / rowCount;
    for (let j = i; j < dimension; j += 1) {
      const value = (gram.products[i * dimension + j] as number) - meanI * (columnSum[j] as number);
      data[i * dimension + j] = value;
      data[j * dimension + i] = value;
    }
  }
  return { rows: dimension, columns: dimension, data };
}

function asMatrix(gram: Gram): Matrix64 {
  return { rows: gram.dimension, columns: gram.dimension, data: gram.products };
}

function trace(matrix: Matrix64): number {
  let sum = 0;
  for (let i = 0; i < matrix.rows; i += 1) sum += matrix.data[i * matrix.rows + i] as number;
  return sum;
}

function checkGram(gram: Gram, total: number): void {
  if (gram.rowCount === 0) {
    throw new TrommelError(
      "bad-dataset",
      "cannot compute the SVD: there is no embedding. Give at least one readable image",
    );
  }
  // A row that is not finite makes its own diagonal entry so, and with it the trace.
  if (!Number.isFinite(total)) {
    throw new TrommelError(
      "corrupt",
      `cannot compute the SVD: among ${gram.rowCount} embeddings there is a value that is not finite. ` +
        "Check the backbone's weights and the feature type (f16 overflows at 65504)",
      { context: { rows: gram.rowCount, dimension: gram.dimension } },
    );
  }
}
