import { SeededRandom, type HeadRecipe } from "@trommel/common";
import { NormalNoise } from "./normal-noise.js";

/** A matrix of factors, mean one, by which activations are multiplied in training. */
export interface FactorLayer {
  readonly width: number;
  readonly draw: (count: number) => Float32Array;
}

/**
 * The random factors of one epoch, drawn in order of use. Of `se`: one layer of Gaussian dropout N(1, √(r / (1 − r)))
 * (Srivastava et al. 2014, section 10). Of `linear`: one layer on the features, of `mlp`: one for each hidden layer, of
 * ordinary dropout, scaled by 1 / (1 − r). None where the rate is zero.
 */
export function factorLayers(head: HeadRecipe, featureCount: number, seed: number): FactorLayer[] {
  if (head.dropout === 0) return [];
  const random = new SeededRandom(seed);
  const rate = head.dropout;
  if (head.type === "se") {
    const noise = new NormalNoise(random);
    const deviation = Math.sqrt(rate / (1 - rate));
    return [{ width: featureCount, draw: (count) => fill(count, () => 1 + deviation * noise.next()) }];
  }
  const keptFrom = Math.round(rate * 2 ** 32);
  const factor = 1 / (1 - rate);
  const draw = (count: number) => fill(count, () => (random.bits() >= keptFrom ? factor : 0));
  const widths = head.type === "mlp" ? head.hidden : [featureCount];
  return widths.map((width) => ({ width, draw }));
}

function fill(count: number, next: () => number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 1) values[i] = next();
  return values;
}
