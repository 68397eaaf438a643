import type { DecodeRecipe } from "@trommel/common";
import { resample, type AxisWindow } from "./resample.js";

/**
 * Pictures that are enlarged along an axis. libvips would shift them by half a pixel of the input, and interpolate by a
 * cubic whatever the kernel is; pictures that only shrink are left to it.
 */

interface Size {
  readonly width: number;
  readonly height: number;
}
type Target = Pick<DecodeRecipe, "fit" | "kernel" | "background"> & { readonly side: number };

/** Whether an axis is enlarged; the same for a picture that lies on its side. */
export function isEnlarged({ width, height }: Size, { fit, side }: Pick<Target, "fit" | "side">): boolean {
  return side > (fit === "letterbox" ? Math.max(width, height) : Math.min(width, height));
}

/** @returns [side, side, 3] @param pixels [height, width, 3] */
export async function enlarge(pixels: Uint8Array, size: Size, target: Target): Promise<Uint8Array> {
  const { side, fit, kernel, background } = target;
  const { width, height } = size;
  const columns = windowOf(width, scaleOf(size, width, target), side);
  const rows = windowOf(height, scaleOf(size, height, target), side);
  const resampled = await resample({ pixels, width, height }, columns, rows, kernel);
  if (fit !== "letterbox") return resampled;
  const base = new Uint8Array(side * side * 3);
  for (let i = 0; i < base.length; i += 1) base[i] = background[i % 3] as number;
  const left = (side - columns.count) / 2;
  const top = (side - rows.count) / 2;
  for (let row = 0; row < rows.count; row += 1) {
    const line = resampled.subarray(row * columns.count * 3, (row + 1) * columns.count * 3);
    base.set(line, ((top + row) * side + left) * 3);
  }
  return base;
}

/** Output pixels for one input pixel, along an axis of that length. */
function scaleOf({ width, height }: Size, length: number, { fit, side }: Target): number {
  if (fit === "squash") return side / length;
  return side / (fit === "letterbox" ? Math.max(width, height) : Math.min(width, height));
}

/**
 * The middle of an axis: as many output pixels as have their centre in the picture, and at most the side. They are an even
 * number less than the side, so that the middle stays in the middle.
 */
function windowOf(length: number, scale: number, side: number): AxisWindow {
  if (scale === side / length) return { start: 0, length, count: side };
  const outside = Math.max(0, side - length * scale);
  // A rounding error must not cost a row.
  const count = Math.max(side % 2 === 0 ? 2 : 1, side - 2 * Math.floor((outside + 1 - 1e-9) / 2));
  return { start: (length - count / scale) / 2, length: count / scale, count };
}
