import { SeededRandom, seedFrom } from "@trommel/common";

/** The order in which training uses the rows in an epoch: from (seed, epoch) and nothing else. */
export function epochOrder(seed: number, epoch: number, rowCount: number): Int32Array {
  const order = Int32Array.from({ length: rowCount }, (_, row) => row);
  return new SeededRandom(seedFrom(seed, "order", epoch)).shuffle(order);
}

/** The seed of an epoch's dropout factors, see `dropout-factors.ts`. */
export function noiseSeed(seed: number, epoch: number): number {
  return seedFrom(seed, "noise", epoch);
}

/** The seed of an epoch's input dropout. */
export function inputNoiseSeed(seed: number, epoch: number): number {
  return seedFrom(seed, "input noise", epoch);
}
