/** A point of a search line: its step, and the function's value and slope along the line there. */
export interface LinePoint {
  readonly step: number;
  readonly value: number;
  readonly slope: number;
}

/** Nocedal & Wright's constants for quasi-Newton directions. */
const sufficientDecrease = 1e-4;
const curvature = 0.9;
const evaluationsAtMost = 40;

/**
 * A step that satisfies the strong Wolfe conditions: Nocedal & Wright (2006), algorithms 3.5 and 3.6, with cubic interpolation.
 * @param start at step 0, with a negative slope
 * @param valueNoise values that differ by less count as equal, because rounding decides between them
 * @returns undefined if no step was found, which happens where rounding hides the decrease
 */
export async function searchLine<Point extends LinePoint>(
  at: (step: number) => Promise<Point>,
  start: LinePoint,
  firstStep: number,
  valueNoise: number,
): Promise<Point | undefined> {
  const search = new LineSearch(at, start, valueNoise);
  return await search.bracket(firstStep);
}

class LineSearch<Point extends LinePoint> {
  readonly #at: (step: number) => Promise<Point>;
  readonly #start: LinePoint;
  readonly #valueNoise: number;
  #evaluations = 0;

  constructor(at: (step: number) => Promise<Point>, start: LinePoint, valueNoise: number) {
    this.#at = at;
    this.#start = start;
    this.#valueNoise = valueNoise;
  }

  /** Algorithm 3.5: longer steps until an interval contains one that satisfies the conditions. */
  async bracket(firstStep: number): Promise<Point | undefined> {
    let before = this.#start;
    let step = firstStep;
    while (this.#evaluations < evaluationsAtMost) {
      const point = await this.#evaluate(step);
      if (this.#isTooHigh(point) || point.value > before.value + this.#valueNoise)
        return await this.#zoom(before, point);
      if (this.#isFlat(point)) return point;
      if (point.slope >= 0) return await this.#zoom(point, before);
      before = point;
      step = 2 * step;
    }
    return undefined;
  }

  /**
   * Algorithm 3.6: a shorter interval each time.
   * @param low the end with the lower value; its slope points into the interval
   */
  async #zoom(low: LinePoint, high: LinePoint): Promise<Point | undefined> {
    let [lower, higher] = [low, high];
    while (this.#evaluations < evaluationsAtMost) {
      const point = await this.#evaluate(between(lower, higher));
      if (this.#isTooHigh(point) || point.value > lower.value + this.#valueNoise) higher = point;
      else {
        if (this.#isFlat(point)) return point;
        if (point.slope * (higher.step - lower.step) >= 0) higher = lower;
        lower = point;
      }
      if (Math.abs(higher.step - lower.step) <= 1e-12 * Math.max(1, lower.step)) return undefined;
    }
    return undefined;
  }

  async #evaluate(step: number): Promise<Point> {
    this.#evaluations += 1;
    return await this.#at(step);
  }

  #isTooHigh({ step, value }: LinePoint): boolean {
    const bound = this.#start.value + sufficientDecrease * step * this.#start.slope;
    // A value that is not finite is too high, too.
    return !(value <= bound + this.#valueNoise);
  }

  #isFlat({ slope }: LinePoint): boolean {
    return Math.abs(slope) <= -curvature * this.#start.slope;
  }
}

/** The minimiser of the cubic through both ends (3.59), at least a tenth of the interval from either. */
function between(a: LinePoint, b: LinePoint): number {
  const width = b.step - a.step;
  const d1 = a.slope + b.slope - (3 * (a.value - b.value)) / (a.step - b.step);
  const root = Math.sqrt(d1 * d1 - a.slope * b.slope);
  const d2 = Math.sign(width) * root;
  const step = b.step - width * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2));
  const share = (step - a.step) / width;
  return a.step + width * (Number.isFinite(share) ? Math.min(0.9, Math.max(0.1, share)) : 0.5);
}
