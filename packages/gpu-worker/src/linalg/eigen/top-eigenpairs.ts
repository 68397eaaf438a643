import { SeededRandom, seedFrom } from "@trommel/common";
import { denseEigenpairs, type Eigenpairs } from "./dense-eigenpairs.js";
import { KrylovBasis } from "./krylov-basis.js";
import { largestOutside } from "./largest-outside.js";
import type { Matrix64, MatrixProduct } from "../matrix-product.js";

/**
 * The number of leading eigenpairs wanted, from the eigenvalues known so far (descending, each a lower bound of
 * the true one); `undefined` if these are too few to decide.
 */
export type CountWanted = (values: Float64Array) => number | undefined;

export interface TopEigenpairsOptions {
  readonly product: MatrixProduct;
  readonly seed: number;
  readonly countWanted: CountWanted;
  /** No count is known before the known eigenvalues sum up to this, so they are not examined earlier. */
  readonly leastSum: number;
  /** Matrices up to this size are decomposed fully. @default 512 */
  readonly denseDimension?: number;
}

/** How much the subspace grows before it is judged again. */
const growth = 1.1;
/** In a subspace below this many times the wanted pairs the last pairs are rarely converged, so only their number is examined. */
const leastRoom = 1.5;
/** For a spectrum like that of embeddings a subspace of twice the wanted pairs and this many blocks is nearly always enough. */
const extraBlocks = 16;

/**
 * The leading eigenpairs of a symmetric positive semidefinite matrix, as many as `countWanted` asks for.
 *
 * Block Krylov subspace from a seeded random start with full reorthogonalisation, and Rayleigh–Ritz in it (Halko,
 * Martinsson & Tropp 2011, "Finding structure with randomness"; Musco & Musco 2015 for the Krylov form). The subspace grows
 * until the wanted pairs have ‖GV − VΛ‖ ≤ max(1e-12·λ₁·√count, min(1e-9·λ₁, 5e-5·gap)), gap being the distance to the first
 * eigenvalue that is not wanted; by Davis & Kahan (1970) the wanted subspace is then within 5e-5 of the exact one wherever
 * float64 allows. If so many pairs are wanted that the subspace would exceed half the dimension, a full decomposition costs less
 * and is used instead; also if an eigenvalue is repeated more often than a block has vectors.
 *
 * @param matrix [dimension, dimension]
 * @returns as many pairs as are wanted
 */
export async function topEigenpairs(matrix: Matrix64, options: TopEigenpairsOptions): Promise<Eigenpairs> {
  const dimension = matrix.rows;
  const iterated = dimension > (options.denseDimension ?? 512) ? await iterate(matrix, options) : undefined;
  if (iterated !== undefined) return iterated;
  return denseEigenpairs(matrix, (values) => options.countWanted(values) ?? dimension, options.product);
}

/** The pairs by iteration, or undefined if that needs more than half the dimension, or some were missed. */
async function iterate(matrix: Matrix64, options: TopEigenpairsOptions): Promise<Eigenpairs | undefined> {
  const largest = Math.floor(matrix.rows / 2);
  const basis = new KrylovBasis(matrix, options.product, new SeededRandom(options.seed), largest);
  let target = basis.blockSize * extraBlocks;
  while (target <= largest) {
    await basis.growTo(target);
    const { pairs, wanted } = basis.trace < options.leastSum ? unknown : await look(basis, options);
    if (pairs !== undefined) return (await isComplete(matrix, pairs, options)) ? pairs : undefined;
    // No subspace of this size can hold more than the leading pairs do, and this one does not hold enough.
    if (wanted === undefined && basis.size > largest / 2) return undefined;
    const likely = wanted === undefined ? 0 : 2 * wanted + basis.blockSize * extraBlocks;
    target = Math.max(likely, Math.ceil(growth * basis.size));
  }
  return undefined;
}

/** Whether no eigenvalue above the least of the pairs was missed. */
async function isComplete(
  matrix: Matrix64,
  pairs: Eigenpairs,
  options: TopEigenpairsOptions,
): Promise<boolean> {
  if (pairs.values.length === 0) return true;
  const random = new SeededRandom(seedFrom(options.seed, "outside"));
  const outside = await largestOutside(matrix, pairs.vectors, options.product, random);
  return outside <= (pairs.values.at(-1) ?? 0) + 1e-10 * (pairs.values[0] ?? 0);
}

interface Look {
  /** Undefined while unknown. */
  readonly wanted: number | undefined;
  /** Present once they meet the bound. */
  readonly pairs: Eigenpairs | undefined;
}

const unknown: Look = { wanted: undefined, pairs: undefined };

async function look(basis: KrylovBasis, { countWanted, product }: TopEigenpairsOptions): Promise<Look> {
  let wanted: number | undefined;
  let bound = 0;
  const count = (values: Float64Array) => {
    wanted = countWanted(values);
    if (wanted === undefined || values.length < leastRoom * wanted) return 0;
    bound = residualBound(values, wanted);
    return wanted;
  };
  const ritz = await denseEigenpairs(basis.projected(), count, product);
  if (wanted === 0) return { wanted, pairs: ritz };
  if (ritz.values.length === 0) return { wanted, pairs: undefined };
  const pairs = await basis.lift(ritz);
  return { wanted, pairs: pairs.residual <= bound ? pairs : undefined };
}

/** The bound of the Frobenius norm of the residuals. */
function residualBound(values: Float64Array, wanted: number): number {
  const largest = values[0] ?? 0;
  const gap = (values[wanted - 1] ?? 0) - (values[wanted] ?? 0);
  return Math.max(1e-12 * largest * Math.sqrt(wanted), Math.min(1e-9 * largest, 5e-5 * gap));
}
