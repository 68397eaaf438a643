import { TrommelError } from "@trommel/common";
import type { ExtractorOptions, ViewBatch } from "./engine.js";

const identity = [1, 0, 0, 0, 1, 0] as const;

/** Checks that the arrays of a batch fit together, before a runtime reads past an end: a mismatch is a mistake of the caller. */
export function checkBatch(batch: ViewBatch, options: ExtractorOptions): void {
  const { imageCount } = batch;
  const { side, viewCount } = options;
  checkPixels(batch.pixels, imageCount, side);
  const views = imageCount * viewCount;
  if (batch.affine.length !== views * 6 || batch.colour.length !== views * 12) {
    throw new TrommelError(
      "internal",
      `cannot extract: ${views} views need ${views * 6} and ${views * 12} matrix elements, ` +
        `got ${batch.affine.length} and ${batch.colour.length}`,
    );
  }
  for (let image = 0; options.identityFirst === true && image < imageCount; image += 1) {
    const start = image * viewCount * 6;
    const matrix = batch.affine.subarray(start, start + 6);
    if (identity.some((value, i) => matrix[i] !== value)) {
      throw new TrommelError(
        "internal",
        `cannot extract: view 0 of image ${image} is [${matrix.join(", ")}], and this extractor expects the identity`,
      );
    }
  }
}

export function checkPixels(pixels: Uint8Array, imageCount: number, side: number): void {
  if (imageCount >= 1 && pixels.length === imageCount * side * side * 3) return;
  throw new TrommelError(
    "internal",
    `cannot compute: ${pixels.length} bytes are not ${imageCount} RGB images of ${side}×${side}`,
  );
}
