import { searchLine, type LinePoint } from "./line-search.js";

export interface Evaluated {
  readonly value: number;
  readonly gradient: Float64Array;
}

export interface MinimizeOptions<Found extends Evaluated> {
  readonly evaluate: (point: Float64Array) => Promise<Found>;
  readonly start: Float64Array;
  /** Ends where no entry of the gradient is larger. */
  readonly tolerance: number;
  readonly maxIterations: number;
  /** Values that differ by less count as equal; rounding in `evaluate` has this size. */
  readonly valueNoise: number;
  /** Called before every iteration; what it throws ends the search. */
  readonly beforeIteration: () => Promise<void>;
}

/** What was evaluated at the lowest point, and how the search got there. */
export type Minimum<Found extends Evaluated> = Found & Search;

interface Search {
  readonly point: Float64Array;
  readonly iterations: number;
  readonly evaluations: number;
  /** The largest entry of the gradient. */
  readonly slope: number;
  /** `stalled`: no step along the last direction is lower by more than rounding. */
  readonly ended: "tolerance" | "iterations" | "stalled";
}

/** Pairs of steps and changes of the gradient that are remembered. */
const memory = 30;

interface Pair {
  readonly step: Float64Array;
  readonly change: Float64Array;
  /** step · change */
  readonly product: number;
}

/** Minimises a smooth function by L-BFGS (Nocedal & Wright 2006, algorithms 7.4 and 7.5), in float64. */
export async function minimize<Found extends Evaluated>(
  options: MinimizeOptions<Found>,
): Promise<Minimum<Found>> {
  const { evaluate, tolerance, maxIterations, valueNoise } = options;
  let evaluations = 1;
  let at = { point: options.start, found: await evaluate(options.start) };
  let pairs: Pair[] = [];
  for (let iterations = 0; ; iterations += 1) {
    const { value, gradient } = at.found;
    const slope = largest(gradient);
    const end = (ended: Search["ended"]): Minimum<Found> => {
      return { ...at.found, point: at.point, iterations, evaluations, slope, ended };
    };
    if (slope <= tolerance) return end("tolerance");
    if (iterations >= maxIterations) return end("iterations");
    await options.beforeIteration();
    const direction = descentDirection(gradient, pairs);
    const start = { step: 0, value, slope: dot(gradient, direction) };
    const { point: from } = at;
    const along = async (step: number): Promise<LinePoint & { point: Float64Array; found: Found }> => {
      evaluations += 1;
      const point = from.map((value, i) => value + step * (direction[i] as number));
      const reached = await evaluate(point);
      return { step, point, found: reached, value: reached.value, slope: dot(reached.gradient, direction) };
    };
    const firstStep = pairs.length > 0 ? 1 : Math.min(1, 1 / Math.sqrt(dot(gradient, gradient)));
    const next = await searchLine(along, start, firstStep, valueNoise);
    if (next === undefined) {
      if (pairs.length === 0) return end("stalled");
      // The remembered curvature may be of another region: begin again along the gradient.
      pairs = [];
      continue;
    }
    pairs = remember(pairs, at, next);
    at = next;
  }
}

function remember(
  pairs: readonly Pair[],
  before: { readonly point: Float64Array; readonly found: Evaluated },
  after: { readonly point: Float64Array; readonly found: Evaluated },
): Pair[] {
  const step = after.point.map((value, i) => value - (before.point[i] as number));
  const change = after.found.gradient.map((value, i) => value - (before.found.gradient[i] as number));
  const product = dot(step, change);
  // The curvature condition makes it positive; rounding may not leave it so.
  if (!(product > 1e-16 * dot(change, change))) return [...pairs];
  return [...pairs.slice(1 - memory), { step, change, product }];
}

/** The two-loop recursion: minus the approximated inverse Hessian times the gradient. */
function descentDirection(gradient: Float64Array, pairs: readonly Pair[]): Float64Array {
  const direction = gradient.map((value) => -value);
  const shares: number[] = [];
  for (const { step, change, product } of pairs.toReversed()) {
    const share = dot(step, direction) / product;
    shares.unshift(share);
    addScaled(direction, change, -share);
  }
  const last = pairs.at(-1);
  if (last !== undefined) {
    const scale = last.product / dot(last.change, last.change);
    for (let i = 0; i < direction.length; i += 1) direction[i] = scale * (direction[i] as number);
  }
  for (const [index, { step, change, product }] of pairs.entries()) {
    const share = (shares[index] as number) - dot(change, direction) / product;
    addScaled(direction, step, share);
  }
  return direction;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

function addScaled(target: Float64Array, values: Float64Array, scale: number): void {
  for (let i = 0; i < target.length; i += 1)
    target[i] = (target[i] as number) + scale * (values[i] as number);
}

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
