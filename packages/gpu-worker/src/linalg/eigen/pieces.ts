/**
 * Cuts a length into pieces of one size, of which the last has from half as many to less than one and a half times as many;
 * less than half of one is one piece.
 */
export function pieces(length: number, size: number): [start: number, end: number][] {
  const count = Math.max(1, Math.round(length / size));
  return Array.from({ length: count }, (_, i) => [i * size, i === count - 1 ? length : (i + 1) * size]);
}
