import { SeededRandom } from "@trommel/common";
import { denseEigenpairs, type Eigenpairs } from "./dense-eigenpairs.js";
import { KrylovBasis } from "./krylov-basis.js";
import type { Matrix64, MatrixProduct } from "./matrix-product.js";

/**
 * Says how many of the leading eigenpairs are wanted, from the eigenvalues known so far (descending, each a lower bound of
 * the true one); `undefined` when these are too few to tell.
 */
export type CountWanted = (values: Float64Array) => number | undefined;

export interface TopEigenpairsOptions {
  readonly product: MatrixProduct;
  readonly seed: number;
  readonly countWanted: CountWanted;
  /** Matrices up to this size are decomposed whole. @default 300 */
  readonly denseDimension?: number;
}

/** Size of the first subspace that is looked at. */
const firstSubspace = 160;
/** How much the subspace grows between two looks at its eigenpairs; a look costs the cube of its size. */
const growth = 1.4;

/**
 * The leading eigenpairs of a symmetric positive semidefinite matrix, as many as `countWanted` asks for.
 *
 * Block Krylov subspace from a seeded random start with full reorthogonalisation, and Rayleigh–Ritz in it (Halko,
 * Martinsson & Tropp 2011, "Finding structure with randomness"; Musco & Musco 2015 for the Krylov form). The subspace grows
 * until each wanted pair has ‖Gv − λv‖ ≤ max(1e-12·λ₁, min(1e-9·λ₁, 5e-5·gap/√count)), gap being the distance to the first
 * eigenvalue that is not wanted; by Davis & Kahan (1970) the wanted subspace is then within 5e-5 of the exact one wherever
 * float64 allows. A subspace of more than half the dimension costs more than a whole decomposition, which is then done.
 *
 * @param matrix [dimension, dimension]
 * @returns as many pairs as are wanted
 */
export async function topEigenpairs(matrix: Matrix64, options: TopEigenpairsOptions): Promise<Eigenpairs> {
  const dimension = matrix.rows;
  if (dimension <= (options.denseDimension ?? 300)) return wholeDecomposition(matrix, options);
  const basis = new KrylovBasis(matrix, options.product, new SeededRandom(options.seed));
  const largest = Math.floor(dimension / 2);
  for (let size = 0; size < largest;) {
    size = Math.min(Math.max(firstSubspace, Math.ceil(basis.size * growth)), largest);
    await basis.growTo(size);
    const ritz = await denseEigenpairs(basis.projected(), (values) => values.length, options.product);
    const wanted = options.countWanted(ritz.values);
    if (wanted === 0) return leading(ritz, 0);
    if (wanted !== undefined && wanted < basis.size) {
      const pairs = await basis.lift(ritz, wanted);
      if (pairs.maxResidual <= residualBound(ritz.values, wanted)) return pairs;
    }
  }
  return wholeDecomposition(matrix, options);
}

function wholeDecomposition(
  matrix: Matrix64,
  { countWanted, product }: TopEigenpairsOptions,
): Promise<Eigenpairs> {
  return denseEigenpairs(matrix, (values) => countWanted(values) ?? values.length, product);
}

function leading({ values, vectors }: Eigenpairs, count: number): Eigenpairs {
  const { columns, data } = vectors;
  return {
    values: values.slice(0, count),
    vectors: { rows: count, columns, data: data.subarray(0, count * columns) },
  };
}

function residualBound(values: Float64Array, wanted: number): number {
  const largest = values[0] ?? 0;
  const gap = (values[wanted - 1] ?? 0) - (values[wanted] ?? 0);
  return Math.max(1e-12 * largest, Math.min(1e-9 * largest, (5e-5 * gap) / Math.sqrt(wanted)));
}
