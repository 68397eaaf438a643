import sharp from "sharp";
import type { Metadata } from "sharp";
import { jpegHeader } from "./jpeg-header.js";
import { pictureFormat } from "./picture-format.js";

/**
 * What decoding a file takes at its worst, by its header and before any pixel is decoded. An estimate from above
 * for the budget, measured per format, not an account of every allocation.
 */

/** Rows that libvips holds of a picture that it reads from top to bottom. */
const streamedRows = 2048;

/**
 * Whole pictures held at once, in their own samples, by what cannot be read from top to bottom. Measured at 6000×4000
 * beyond the file: progressive JPEG 1.0 (4:2:0) and 2.1 (4:4:4), interlaced PNG 1.3, WebP 2.8, GIF 1.8, AVIF 6.3.
 */
const wholePictures = { jpeg: 2.5, png: 2, webp: 3, gif: 2, tiff: 2, heif: 7 } as const;
const wholePicturesAtMost = 7;

const sampleBytes = { uchar: 1, char: 1, ushort: 2, short: 2, uint: 4, int: 4, float: 4, double: 8 } as const;
const sampleBytesAtMost = 16;

/**
 * Only formats that are decoded have their header read: the header of a drawing such as SVG is got by drawing it.
 * @returns bytes; 0 for a file whose header cannot be read or that is refused by it, since nothing of it is decoded
 * @param maxPixels what the recipe allows of width times height
 */
export async function decodeMemoryBytes(bytes: Uint8Array, maxPixels: number): Promise<number> {
  if (pictureFormat(bytes).kind !== "decodable") return 0;
  let header: PictureHeader | undefined = jpegHeader(bytes);
  try {
    header ??= await sharp(bytes, { limitInputPixels: false, failOn: "none" }).metadata();
  } catch {
    return 0;
  }
  return headerMemoryBytes(header, maxPixels);
}

/** The part of a header that decides. */
export type PictureHeader = Pick<
  Metadata,
  "width" | "height" | "format" | "channels" | "depth" | "isProgressive" | "orientation"
>;

export function headerMemoryBytes(header: PictureHeader, maxPixels: number): number {
  const { width, height, channels, format, orientation = 1 } = header;
  if (width * height > maxPixels) return 0;
  const depth = sampleBytes[header.depth as keyof typeof sampleBytes] ?? sampleBytesAtMost;
  const rowBytes = width * channels * depth;
  const streams = format === "jpeg" || format === "png";
  // A picture that is turned upright may be held whole, since its rows are wanted in another order.
  if (streams && header.isProgressive !== true && orientation < 2)
    return rowBytes * Math.min(height, streamedRows);
  const copies = wholePictures[format as keyof typeof wholePictures] ?? wholePicturesAtMost;
  return Math.ceil(rowBytes * height * copies);
}
