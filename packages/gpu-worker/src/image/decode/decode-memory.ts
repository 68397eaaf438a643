import sharp from "sharp";
import type { Metadata, SharpOptions } from "sharp";
import { jpegHeader } from "./jpeg-header.js";
import type { ResolvedDecodeRecipe } from "./decode-image.js";
import { isEnlarged } from "./enlarge.js";
import { imageFormat } from "./image-format.js";
import { tallCropBytes } from "./tall-crop.js";
import { openedAt } from "../tiff/choose-picture.js";

/**
 * Estimates how much memory decoding a file takes at most, from its header and before any pixel is decoded: an upper bound
 * for the budget, measured per format, not a sum of all allocations.
 */

/** Rows that libvips keeps of an image that it reads from top to bottom. */
const streamedRows = 2048;

/**
 * Whole images in memory at once, in their own sample format, for formats that cannot be read from top to bottom. Measured at 6000×4000
 * beyond the file: progressive JPEG 1.0 (4:2:0) and 2.1 (4:4:4), interlaced PNG 1.3, WebP 2.8, GIF 1.8, AVIF 6.3.
 */
const wholeImages = { jpeg: 2.5, png: 2, webp: 3, gif: 2, tiff: 2, heif: 7 } as const;
const wholeImagesAtMost = 7;

const sampleBytes = { uchar: 1, char: 1, ushort: 2, short: 2, uint: 4, int: 4, float: 4, double: 8 } as const;
const sampleBytesAtMost = 16;

/**
 * Reads headers only of formats that are decoded: for a drawing such as SVG, sharp would have to draw it.
 * @returns bytes; 0 if the header cannot be read or leads to a refusal, because then nothing is decoded
 */
export async function decodeMemoryBytes(bytes: Uint8Array, recipe: MemoryRecipe): Promise<number> {
  try {
    const found = imageFormat(bytes, recipe.decodeVersion);
    if (found.kind !== "decodable") return 0;
    const options: SharpOptions = { limitInputPixels: false, failOn: "none", ...openedAt(found.picture) };
    const jpeg = jpegHeader(bytes);
    // The profile of a grey JPEG matters only in a letterbox, and its frame does not tell of one.
    const isKnown = jpeg !== undefined && (jpeg.channels !== 1 || recipe.fit !== "letterbox");
    const header = isKnown ? jpeg : await sharp(bytes, options).metadata();
    const asFile = headerMemoryBytes(header, recipe.maxPixels);
    if (asFile === 0) return 0;
    const asNumbers = found.numbers === undefined ? 0 : numbersMemoryBytes(header);
    return asFile + asNumbers + colouredBytes(header, recipe) + scaledBytes(header, recipe);
  } catch {
    return 0;
  }
}

/** Whole pictures in 8 bits that are held beyond what the decoder itself keeps. */
function scaledBytes(header: ImageHeader, recipe: MemoryRecipe): number {
  const { width, height, orientation = 1 } = header;
  if (recipe.decodeVersion !== 1 && isEnlarged(header, recipe)) return enlargedCopies * width * height * 3;
  const tall = tallCropBytes({ width, height }, recipe);
  // Exif may turn a picture before it is scaled, or after.
  return orientation < 5 ? tall : Math.max(tall, tallCropBytes({ width: height, height: width }, recipe));
}

/** A grey picture with a profile is held whole as 8-bit RGB; a JPEG only where a background is painted. */
function colouredBytes(header: ImageHeader, { fit }: MemoryRecipe): number {
  const { width, height, channels, format, space, hasProfile = false } = header;
  const isGrey = space === "b-w" || space === "grey16";
  if (!hasProfile || !isGrey || (format === "jpeg" && fit !== "letterbox")) return 0;
  return width * height * (channels > 1 ? 4 : 3);
}

/** A picture that is read as numbers is held once more as them, and three times in 16 bits. */
function numbersMemoryBytes({ width, height, channels, depth }: ImageHeader): number {
  return width * height * channels * (sampleBytesOf(depth) + 3 * 2);
}

type MemoryRecipe = Pick<ResolvedDecodeRecipe, "maxPixels" | "side" | "fit" | "decodeVersion">;

/** Whole pictures in 8-bit RGB that are held while one is enlarged: as decoded, and narrowed along its other axis. */
const enlargedCopies = 2;

/** The part of a header that determines the memory. */
export type ImageHeader = Pick<
  Metadata,
  "width" | "height" | "format" | "channels" | "depth" | "isProgressive" | "orientation"
> & { readonly space?: string; readonly hasProfile?: boolean };

export function headerMemoryBytes(header: ImageHeader, maxPixels: number): number {
  const { width, height, channels, format, orientation = 1 } = header;
  if (width * height > maxPixels) return 0;
  const rowBytes = width * channels * sampleBytesOf(header.depth);
  const streams = format === "jpeg" || format === "png";
  // An image that is rotated may be kept whole, because its rows are read in another order.
  if (streams && header.isProgressive !== true && orientation < 2)
    return rowBytes * Math.min(height, streamedRows);
  const copies = wholeImages[format as keyof typeof wholeImages] ?? wholeImagesAtMost;
  return Math.ceil(rowBytes * height * copies);
}

function sampleBytesOf(depth: ImageHeader["depth"]): number {
  return sampleBytes[depth as keyof typeof sampleBytes] ?? sampleBytesAtMost;
}
