import { SeededRandom, seedFrom } from "@trommel/common";
import type { Groups } from "../groups.js";

export const defaultDraws = 1000;

/**
 * How often each image is in a bootstrap draw: as many groups as there are, with replacement (Efron 1979), each with all
 * its images. A function of seed and draw alone.
 */
export function drawCounts(groups: Groups, seed: number, draw: number): Float64Array {
  const random = new SeededRandom(seedFrom(seed, "bootstrap", draw));
  const drawn = new Float64Array(groups.count);
  for (let i = 0; i < groups.count; i += 1) {
    const group = random.integer(groups.count);
    drawn[group] = (drawn[group] as number) + 1;
  }
  return Float64Array.from(groups.of, (group) => drawn[group] as number);
}
