/** a·b, with four partial sums: a single one would wait for each addition in turn. */
export function dot(a: Float64Array, b: Float64Array): number {
  const whole = a.length - (a.length % 4);
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    s0 += (a[i] as number) * (b[i] as number);
    s1 += (a[i + 1] as number) * (b[i + 1] as number);
    s2 += (a[i + 2] as number) * (b[i + 2] as number);
    s3 += (a[i + 3] as number) * (b[i + 3] as number);
  }
  for (let i = whole; i < a.length; i += 1) s0 += (a[i] as number) * (b[i] as number);
  return s0 + s1 + (s2 + s3);
}

/** ‖a‖₂, without protection against overflow or underflow of squares. */
export function norm(a: Float64Array): number {
  return Math.sqrt(dot(a, a));
}

/** a ← factor·a */
export function scale(a: Float64Array, factor: number): void {
  for (let i = 0; i < a.length; i += 1) a[i] = (a[i] as number) * factor;
}

/** a ← a − factor·b */
export function subtractMultiple(a: Float64Array, b: Float64Array, factor: number): void {
  for (let i = 0; i < a.length; i += 1) a[i] = (a[i] as number) - factor * (b[i] as number);
}
