/**
 * Area under the receiver operating characteristic (Mann and Whitney 1947): the probability that a value of `above` is larger
 * than one of `below`, of equal values one half.
 */
export function areaUnderCurve(below: readonly number[], above: readonly number[]): number {
  const sorted = Float64Array.from(below).sort();
  const countWhere = (isBefore: (value: number) => boolean): number => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(sorted[middle] ?? NaN)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const pairs = above.reduce((sum, value) => {
    const smaller = countWhere((other) => other < value);
    return sum + smaller + (countWhere((other) => other <= value) - smaller) / 2;
  }, 0);
  return pairs / (below.length * above.length);
}
