/** The values of some rows. @param values [rows, width] */
export function rowsOf<T extends Float64Array | Int32Array | Uint8Array>(
  values: T,
  rows: Int32Array,
  width = 1,
): T {
  const taken = values.slice(0, rows.length * width) as T;
  for (const [to, row] of rows.entries())
    taken.set(values.subarray(row * width, (row + 1) * width), to * width);
  return taken;
}
