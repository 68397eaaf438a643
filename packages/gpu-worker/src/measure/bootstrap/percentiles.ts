/** Lower and upper end. */
export type Interval = readonly [low: number, high: number];

/**
 * The quantile of sorted values, linear between order statistics (numpy's default).
 * @param sorted rising, at least one
 */
export function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below] as number;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
  return low + (at - below) * (high - low);
}

/** From the 2.5th to the 97.5th percentile of the values that are numbers; null if none is. */
export function interval95(values: Float64Array): Interval | null {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  return sorted.length === 0 ? null : [quantile(sorted, 0.025), quantile(sorted, 0.975)];
}

/** Mean of the values that are numbers; NaN if none is. */
export function meanOf(values: Float64Array): number {
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    sum += value;
    count += 1;
  }
  return sum / count;
}
