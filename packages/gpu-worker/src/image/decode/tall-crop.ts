import type { DecodeRecipe } from "@trommel/common";
import { isEnlarged } from "./enlarge.js";

/**
 * Crops of tall pictures. The decoder stops after the last row that is asked for, and notices only with all of them that some are
 * missing: so the whole picture is scaled to the side's width, and its middle is taken.
 */

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Bytes of the scaled picture, [height, side, 3]; 0 for a crop that is left to the decoder, and for other fits. */
export function tallCropBytes(
  { width, height }: Size,
  recipe: Pick<DecodeRecipe, "fit" | "maxPixels"> & {
    readonly side: number;
    readonly decodeVersion?: number;
  },
): number {
  const { fit, side, maxPixels, decodeVersion } = recipe;
  if (fit !== "crop" || height <= width) return 0;
  if (decodeVersion !== 1 && isEnlarged({ width, height }, recipe)) return 0;
  const pixels = side * Math.ceil((height * side) / width);
  // The first version enlarges with this too: a picture one pixel wide would take gigabytes.
  return pixels > maxPixels ? 0 : pixels * 3;
}

/** The rows that `fit: "cover"` keeps, or the columns if Exif has turned the picture on its side. */
export function middleOf(data: Uint8Array, { width, height }: Size, side: number): Uint8Array {
  const top = Math.floor((height - side + 1) / 2);
  if (width === side) return data.subarray(top * width * 3, (top + side) * width * 3);
  const left = Math.floor((width - side + 1) / 2);
  const middle = new Uint8Array(side * side * 3);
  for (let row = 0; row < side; row += 1) {
    const start = ((top + row) * width + left) * 3;
    middle.set(data.subarray(start, start + side * 3), row * side * 3);
  }
  return middle;
}
