/** Series of Chebyshev polynomials on [−1, 1]: Σ c_k · T_k(x). */

/** The points at which a function's values give the series of `terms` terms that meets it there. */
export function chebyshevNodes(terms: number): Float64Array {
  return Float64Array.from({ length: terms }, (_, j) => Math.cos((Math.PI * (j + 0.5)) / terms));
}

/** @returns [terms, terms]: the series' coefficients are this matrix times the values at the nodes */
export function nodesToCoefficients(terms: number): Float64Array {
  return Float64Array.from({ length: terms * terms }, (_, i) => {
    const k = Math.floor(i / terms);
    return ((k === 0 ? 1 : 2) / terms) * Math.cos((k * Math.PI * ((i % terms) + 0.5)) / terms);
  });
}

/** T_0(x) … T_{terms−1}(x). */
export function chebyshevPolynomials(x: number, terms: number): Float64Array {
  const values = new Float64Array(terms).fill(1);
  if (terms > 1) values[1] = x;
  for (let k = 2; k < terms; k += 1) {
    values[k] = 2 * x * (values[k - 1] as number) - (values[k - 2] as number);
  }
  return values;
}

/** The sum of a series at x (Clenshaw 1955). */
function valueAt(series: Float64Array, x: number): number {
  let [later, latest] = [0, 0];
  for (let k = series.length - 1; k >= 1; k -= 1) {
    [later, latest] = [latest, 2 * x * latest - later + (series[k] as number)];
  }
  return x * latest - later + (series[0] as number);
}

/** The series of the derivative. */
function derivative(series: Float64Array): Float64Array {
  const result = new Float64Array(series.length);
  for (let k = series.length - 2; k >= 0; k -= 1) {
    result[k] = (result[k + 2] ?? 0) + 2 * (k + 1) * (series[k + 1] as number);
  }
  result[0] = (result[0] as number) / 2;
  return result;
}

/** The place of the minimum of a series that has one on [−1, 1]: −1 or 1 if it only rises or falls. */
export function minimumOf(series: Float64Array): number {
  const slope = derivative(series);
  const curvature = derivative(slope);
  let [low, high] = [-1, 1];
  if (valueAt(slope, low) >= 0) return low;
  if (valueAt(slope, high) <= 0) return high;
  let x = 0;
  for (let step = 0; step < 60; step += 1) {
    const value = valueAt(slope, x);
    if (value < 0) low = x;
    else high = x;
    const newton = x - value / valueAt(curvature, x);
    const next = newton > low && newton < high ? newton : (low + high) / 2;
    if (Math.abs(next - x) < 1e-10) return next;
    x = next;
  }
  return x;
}
