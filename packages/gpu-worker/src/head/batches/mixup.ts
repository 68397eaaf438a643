import { SeededRandom, seedFrom } from "@trommel/common";
import { drawBeta } from "./beta.js";

/** How the rows of a batch are mixed: row i becomes `share` of itself and the rest of row `partners[i]` of the same batch. */
export interface Mixture {
  readonly share: number;
  /** A permutation of the batch's rows. */
  readonly partners: Int32Array;
}

/** Mixup (Zhang et al. 2018): one share from Beta(alpha, alpha) for a batch, from (seed, epoch, step) and nothing else. */
export function drawMixture(
  alpha: number,
  seed: number,
  { epoch, step, rows }: { readonly epoch: number; readonly step: number; readonly rows: number },
): Mixture {
  const random = new SeededRandom(seedFrom(seed, "mixup", epoch, step));
  const share = drawBeta(random, alpha, alpha);
  return { share, partners: random.shuffle(Int32Array.from({ length: rows }, (_, row) => row)) };
}

/** Writes `share · own + (1 − share) · other` to a target of the same length. */
export function mixInto(target: Float32Array, own: Float32Array, other: Float32Array, share: number): void {
  const rest = 1 - share;
  for (let i = 0; i < target.length; i += 1) {
    target[i] = share * (own[i] as number) + rest * (other[i] as number);
  }
}
