import { TrommelError } from "@trommel/common";
import type { ViewBatch } from "./engine.js";

/** A batch whose arrays do not fit together is a caller's mistake, found before a runtime reads past an end. */
export function checkBatch(batch: ViewBatch, side: number, viewCount: number): void {
  const { imageCount } = batch;
  checkPixels(batch.pixels, imageCount, side);
  const views = imageCount * viewCount;
  if (batch.affine.length !== views * 6 || batch.colour.length !== views * 12) {
    throw new TrommelError(
      "internal",
      `failed to extract: ${views} views need ${views * 6} and ${views * 12} numbers, ` +
        `${batch.affine.length} and ${batch.colour.length} were given.`,
    );
  }
}

export function checkPixels(pixels: Uint8Array, imageCount: number, side: number): void {
  if (imageCount >= 1 && pixels.length === imageCount * side * side * 3) return;
  throw new TrommelError(
    "internal",
    `failed to compute: ${pixels.length} bytes are not ${imageCount} RGB images of ${side}×${side}.`,
  );
}
