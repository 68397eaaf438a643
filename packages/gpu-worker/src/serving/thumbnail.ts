import sharp from "sharp";

/** Pixels. */
const side = 160;
const pixelsAtMost = 100_000_000;
const secondsAtMost = 10;

/**
 * A WebP picture of at most 160 by 160 pixels, upright, of a file of which at least a part can be read.
 * @returns undefined where nothing can be made of it
 */
export async function makeThumbnail(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  try {
    return await sharp(bytes, { failOn: "none", limitInputPixels: pixelsAtMost, pages: 1 })
      .timeout({ seconds: secondsAtMost })
      .rotate()
      .resize({ width: side, height: side, fit: "inside", withoutEnlargement: true })
      .webp({ quality: 75 })
      .toBuffer();
  } catch {
    return undefined;
  }
}
