import type { SvdRecipe } from "@trommel/common";
import { float32Error, type GramPrecision } from "./gram-chunk.js";
import { leastSettled } from "../gram-to-projection.js";
import { leastSingleRows } from "../matrix-product.js";

export interface GramUse {
  /** That are to be summed. */
  readonly rows: number;
  readonly dimension: number;
  readonly svd: SvdRecipe;
}

/**
 * In which precision the products of a Gram matrix are made: in float32, which takes half the time or less, where the recipe is not
 * likely to ask for what is lost by it. Of the eigenvalues that reach an energy the least is at least (1 − energy)/dimension of
 * their sum, for the rest of the energy is spread over no more than all others; only rank, or a step past the
 * energy, can ask for smaller ones, and whether they did `isSettled` tells afterwards. Few rows cost little, and have a
 * rank that is to be known; so do few dimensions, where in addition the rounding of pictures that come again and again may be many times
 * what is estimated, and threads could show.
 */
export function gramPrecision({ rows, dimension, svd }: GramUse): GramPrecision {
  const least = (1 - svd.energy) / dimension;
  return dimension >= leastSingleRows && rows >= dimension && least >= leastSettled * float32Error
    ? "float32"
    : "float64";
}
