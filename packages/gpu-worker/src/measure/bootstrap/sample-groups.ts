import { SeededRandom, seedFrom } from "@trommel/common";
import type { Groups } from "../groups.js";

/** More groups than this, and draws are made from a sample of as many: it bounds time and memory of a bootstrap. */
export const defaultMostGroups = 20_000;

/**
 * The images of a seeded sample of `most` groups, in their order; undefined if there are no more groups than that.
 */
export function sampleGroups(groups: Groups, most: number, seed: number): Int32Array | undefined {
  if (groups.count <= most) return undefined;
  const order = Int32Array.from({ length: groups.count }, (_, group) => group);
  new SeededRandom(seedFrom(seed, "bootstrap-sample")).shuffle(order);
  const taken = new Uint8Array(groups.count);
  for (const group of order.subarray(0, most)) taken[group] = 1;
  return Int32Array.from({ length: groups.of.length }, (_, row) => row).filter(
    (row) => taken[groups.of[row] as number] === 1,
  );
}
