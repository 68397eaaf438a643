import type { SeededRandom } from "@trommel/common";

/**
 * A number of the distribution Beta(alpha, beta), as the share of one of two gamma variables in their sum. Their logarithms
 * are drawn, because a gamma variable of a small shape may be smaller than any float64.
 */
export function drawBeta(random: SeededRandom, alpha: number, beta: number): number {
  const first = drawLogGamma(random, alpha);
  const second = drawLogGamma(random, beta);
  return 1 / (1 + Math.exp(second - first));
}

/** ln x of an x from Gamma(shape, 1), by Marsaglia & Tsang (2000), "A simple method for generating gamma variables". */
function drawLogGamma(random: SeededRandom, shape: number): number {
  // Their section 6: Gamma(shape + 1) times a uniform number to the power 1 / shape.
  if (shape < 1) return drawLogGamma(random, shape + 1) + Math.log(1 - random.unit()) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    if (Math.log(1 - random.unit()) < 0.5 * x * x + d * (1 - v + Math.log(v))) return Math.log(d * v);
  }
}
