import type { SvdRecipe } from "@trommel/common";
import { float32Error, type GramPrecision } from "./gram-chunk.js";
import { leastSettled } from "../gram-to-projection.js";
import { leastSingleRows } from "../matrix-product.js";

export interface GramUse {
  /** The rows that are to be summed. */
  readonly rows: number;
  readonly dimension: number;
  readonly svd: SvdRecipe;
}

/**
 * The precision of a Gram matrix's products: float32, which takes half the time or less, if the recipe is unlikely to need what
 * float32 loses. Among the eigenvalues that reach an energy the smallest is at least (1 − energy)/dimension of their sum,
 * since the rest of the energy is spread over at most all the others. Only the rank, or a step beyond the energy, can need
 * smaller ones, and `isSettled` checks that afterwards. Few rows cost little and have a rank that matters. So do few
 * dimensions, and there the rounding of repeated images can be many times the estimate, and thread counts could change bytes.
 */
export function gramPrecision({ rows, dimension, svd }: GramUse): GramPrecision {
  const least = (1 - svd.energy) / dimension;
  return dimension >= leastSingleRows && rows >= dimension && least >= leastSettled * float32Error
    ? "float32"
    : "float64";
}
