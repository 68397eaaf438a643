/**
 * One output pixel of a view by definition, in float64: the tests' own sampler, shared with no part of the product.
 *
 * @param picture [side, side, 3], row-major
 * @param affine 2×3, output to input, normalised to -1..1 at the edges
 */
export function bilinearAt(
  picture: ArrayLike<number>,
  side: number,
  affine: ArrayLike<number>,
  outputSide: number,
  column: number,
  row: number,
): [number, number, number] {
  const m = (i: number) => affine[i] ?? NaN;
  const u = (2 * column + 1) / outputSide - 1;
  const v = (2 * row + 1) / outputSide - 1;
  const x = ((m(0) * u + m(1) * v + m(2) + 1) * side - 1) / 2;
  const y = ((m(3) * u + m(4) * v + m(5) + 1) * side - 1) / 2;
  const pixel = (px: number, py: number, channel: number) => {
    const cx = Math.min(side - 1, Math.max(0, px));
    const cy = Math.min(side - 1, Math.max(0, py));
    return picture[(cy * side + cx) * 3 + channel] ?? NaN;
  };
  const left = Math.floor(x);
  const top = Math.floor(y);
  const sample = (channel: number) =>
    (1 - (y - top)) *
      ((1 - (x - left)) * pixel(left, top, channel) + (x - left) * pixel(left + 1, top, channel)) +
    (y - top) *
      ((1 - (x - left)) * pixel(left, top + 1, channel) + (x - left) * pixel(left + 1, top + 1, channel));
  return [sample(0), sample(1), sample(2)];
}
