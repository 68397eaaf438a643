/** diag(poles) + weight·zzᵀ, poles strictly ascending, weight > 0, no z zero. */
export interface RankOneUpdate {
  readonly poles: Float64Array;
  readonly z: Float64Array;
  readonly weight: number;
}

/** Bisection alone needs fewer. */
const maxIterations = 200;

/**
 * One eigenvalue of a rank-one update: the root of 1 + weight·Σ zᵢ²/(dᵢ − λ) between poles `index` and `index + 1` (for the
 * last pole, above it). Poles near the root are interpolated by one simple pole on either side (Bunch, Nielsen & Sorensen 1978; Li
 * 1993, LAPACK's dlaed4), within a bracket that bisection keeps closing.
 *
 * @param differences receives dᵢ − λ for every i, each to high relative accuracy: λ is found as its distance to the nearest pole
 * @returns λ
 */
export function secularRoot(update: RankOneUpdate, index: number, differences: Float64Array): number {
  const { poles, z, weight } = update;
  const count = poles.length;
  const isLast = index === count - 1;
  const at = poles[index] as number;
  let width = (poles[index + 1] as number) - at;
  if (isLast) {
    width = 0;
    for (let i = 0; i < count; i += 1) width += weight * (z[i] as number) ** 2;
  }
  const shiftTo = (origin: number) => {
    for (let i = 0; i < count; i += 1) differences[i] = (poles[i] as number) - origin;
  };
  shiftTo(at);
  const fromLeft = isLast || evaluate(update, index, differences, width / 2).value >= 0;
  const origin = fromLeft ? at : (poles[index + 1] as number);
  if (!fromLeft) shiftTo(origin);
  let [low, high] = fromLeft ? [0, isLast ? width : width / 2] : [-width / 2, 0];
  let root = (low + high) / 2;
  for (let iteration = 0; iteration < maxIterations; iteration += 1) {
    const point = evaluate(update, index, differences, root);
    if (Math.abs(point.value) <= point.rounding) break;
    if (point.value < 0) low = root;
    else high = root;
    const next = root + interpolatedStep(point, index, differences, root);
    const previous = root;
    root = next > low && next < high ? next : (low + high) / 2;
    if (root === previous || root === low || root === high) break;
  }
  for (let i = 0; i < count; i += 1) differences[i] = (differences[i] as number) - root;
  return origin + root;
}

interface SecularPoint {
  readonly value: number;
  /** The slope from the poles up to the root's own, then from those above. */
  readonly slopeBelow: number;
  readonly slopeAbove: number;
  /** A bound of the error of `value`. */
  readonly rounding: number;
}

/** The secular function at `shift` from the origin of `differences`. */
function evaluate(
  { z, weight }: RankOneUpdate,
  index: number,
  differences: Float64Array,
  shift: number,
): SecularPoint {
  let [below, slopeBelow, above, slopeAbove] = [0, 0, 0, 0];
  for (let i = 0; i <= index; i += 1) {
    const ratio = (z[i] as number) / ((differences[i] as number) - shift);
    below += (z[i] as number) * ratio;
    slopeBelow += ratio * ratio;
  }
  for (let i = differences.length - 1; i > index; i -= 1) {
    const ratio = (z[i] as number) / ((differences[i] as number) - shift);
    above += (z[i] as number) * ratio;
    slopeAbove += ratio * ratio;
  }
  const size = 1 + weight * (Math.abs(below) + Math.abs(above) + Math.abs(shift) * (slopeBelow + slopeAbove));
  return {
    value: 1 + weight * (below + above),
    slopeBelow: weight * slopeBelow,
    slopeAbove: weight * slopeAbove,
    rounding: Number.EPSILON * size,
  };
}

/** The step to the root of c + a/(Δ₀ − η) + b/(Δ₁ − η), which has the function's value and its slopes on both sides. */
function interpolatedStep(
  { value, slopeBelow, slopeAbove }: SecularPoint,
  index: number,
  differences: Float64Array,
  shift: number,
): number {
  const left = (differences[index] as number) - shift;
  if (index === differences.length - 1) {
    // One pole is left: c + a/(Δ₀ − η).
    const constant = value - slopeBelow * left;
    return left + (slopeBelow * left * left) / constant;
  }
  const right = (differences[index + 1] as number) - shift;
  const constant = value - slopeBelow * left - slopeAbove * right;
  const b = constant * (left + right) + slopeBelow * left * left + slopeAbove * right * right;
  const c = value * left * right;
  const discriminant = Math.sqrt(Math.abs(b * b - 4 * constant * c));
  return b <= 0 ? (b - discriminant) / (2 * constant) : (2 * c) / (b + discriminant);
}

/**
 * The z whose rank-one update has exactly the given eigenvalues, up to a common factor (Gu & Eisenstat 1994): eigenvectors made from it
 * are orthogonal to working precision.
 *
 * @param differences row j: dᵢ − λⱼ
 */
export function consistentZ({ poles, z }: RankOneUpdate, differences: readonly Float64Array[]): Float64Array {
  const count = poles.length;
  const squares = new Float64Array(count).fill(1);
  for (let j = 0; j < count; j += 1) {
    const row = differences[j] as Float64Array;
    for (let i = 0; i < count; i += 1) {
      // Above the pole i the root j belongs with the pole j + 1, so that each ratio is near one; the last has none.
      const partner = j < i ? j : j + 1;
      const gap = partner < count ? (poles[i] as number) - (poles[partner] as number) : -1;
      squares[i] = (squares[i] as number) * ((row[i] as number) / gap);
    }
  }
  return squares.map((square, i) => Math.sqrt(Math.abs(square)) * Math.sign(z[i] as number));
}
