/** From this number of differing images on, chi-square with continuity correction differs from the exact test by under 0.001. */
const exactBelow = 1000;

export interface McNemar {
  readonly pValue: number;
  readonly method: "exact" | "chi-square";
}

/**
 * McNemar's test (1947) of two classifiers on the same images: how probable at least so uneven a division of the images
 * that only one of them gets right is, if both err equally often.
 * Below 1,000 such images the exact two-sided binomial test, from there on chi-square with Edwards' continuity correction.
 * @param b images that only the first classifies rightly
 * @param c images that only the second classifies rightly
 */
export function mcnemar(b: number, c: number): McNemar {
  return b + c < exactBelow
    ? { method: "exact", pValue: exactPValue(b, c) }
    : { method: "chi-square", pValue: chiSquarePValue(b, c) };
}

/** Twice the probability of at most min(b, c) of b + c fair coins, at most 1. */
export function exactPValue(b: number, c: number): number {
  const count = b + c;
  let term = 2 ** -count;
  let sum = term;
  for (let i = 1; i <= Math.min(b, c); i += 1) {
    term *= (count - i + 1) / i;
    sum += term;
  }
  return Math.min(1, 2 * sum);
}

/** The upper tail of chi-square with one degree of freedom at (|b − c| − 1)² / (b + c). */
export function chiSquarePValue(b: number, c: number): number {
  if (b + c === 0) return 1;
  const root = Math.max(0, Math.abs(b - c) - 1) / Math.sqrt(b + c);
  return complementaryErrorFunction(root / Math.SQRT2);
}

/** erfc(x) for x ≥ 0: its series up to 2, then 60 terms of its continued fraction (Abramowitz and Stegun 1964, 7.1.14). */
function complementaryErrorFunction(x: number): number {
  const scale = Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x < 2) {
    let term = 2 * x * scale;
    let sum = term;
    for (let n = 1; term > sum * Number.EPSILON; n += 1) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return 1 - sum;
  }
  let fraction = x;
  for (let n = 60; n >= 1; n -= 1) fraction = x + n / 2 / fraction;
  return scale / fraction;
}
