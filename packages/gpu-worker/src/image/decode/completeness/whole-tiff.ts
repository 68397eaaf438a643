import sharp from "sharp";
import { segmentsOf, tiffCompression, tilesAsStrips, type TiffSegments } from "../../tiff/segments.js";
import type { WholePicture } from "../picture-request.js";
import { watchWarnings } from "./decoder-warnings.js";
import { PictureFault } from "./picture-fault.js";
import { checkTiffCodes, type CodedTiff } from "./tiff-codes.js";

/** Compressions whose lost pixels libtiff only warns about. */
const warning: readonly number[] = [tiffCompression.jpeg, tiffCompression.packBits];

/**
 * Decodes a TIFF. libvips refuses it for a strip that libtiff cannot read, but paints such a tile black unless warnings are errors.
 * @throws PictureFault if a part of the picture is missing or wrong; what `decode` throws
 */
export async function decodeTiff<Pixels>(picture: WholePicture<Pixels>): Promise<Pixels> {
  const { bytes, decode, isFinal } = picture;
  const tiff = codedTiff(picture);
  if (tiff === undefined) return await decode(bytes, "error");
  const hasWarned = watchWarnings();
  const pixels = tiff.segments.isTiled
    ? await decodeTiles(picture, tiff.segments)
    : await decode(bytes, "error");
  try {
    const isHeard = warning.includes(tiff.segments.compression);
    await checkTiffCodes(tiff, isHeard && hasWarned() ? "all" : "odd");
  } catch (fault) {
    // The decoder may read JPEG codes that we call broken.
    const isOurs = fault instanceof PictureFault && fault.state === "broken" && tiff.isJpeg;
    if (!isOurs || (await isRefused(decode(bytes, "warning"), isFinal))) throw fault;
  }
  return pixels;
}

/** Says what a refused TIFF lacks. @throws PictureFault if its strips or tiles say so */
export async function checkRefusedTiff(picture: WholePicture<unknown>): Promise<void> {
  const tiff = codedTiff(picture);
  if (tiff !== undefined) await checkTiffCodes(tiff, "all");
}

/** A tile without a byte means black and is refused too, so the others are read once more without it. */
async function decodeTiles<Pixels>(
  { bytes, decode, isFinal, timeoutS }: WholePicture<Pixels>,
  tiles: TiffSegments,
): Promise<Pixels> {
  try {
    return await decode(bytes, "warning");
  } catch (thrown) {
    if (await isFinal(thrown)) throw thrown;
  }
  const strips = tilesAsStrips(tiles);
  if (strips !== undefined && (await isRefused(readAll(strips, timeoutS), isFinal)))
    throw new PictureFault("broken", "a tile cannot be read");
  return await decode(bytes, "error");
}

async function readAll(file: Uint8Array, timeoutS: number): Promise<void> {
  await sharp(file, { failOn: "error", limitInputPixels: false, sequentialRead: true })
    .resize(1, 1, { fit: "fill", fastShrinkOnLoad: false })
    .raw()
    .timeout({ seconds: timeoutS })
    .toBuffer();
}

async function isRefused(
  decoding: Promise<unknown>,
  isFinal: WholePicture<unknown>["isFinal"],
): Promise<boolean> {
  try {
    await decoding;
    return false;
  } catch (thrown) {
    if (await isFinal(thrown)) throw thrown;
    return true;
  }
}

function codedTiff({
  bytes,
  directory,
  maxPixels,
  signal,
}: WholePicture<unknown>): (CodedTiff & { readonly isJpeg: boolean }) | undefined {
  if (directory === undefined) return undefined;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const segments = segmentsOf(directory, buffer);
  if (segments === undefined) return undefined;
  const tables = directory.fields.get("jpegTables")?.values;
  return {
    ...{ segments, maxPixels, signal },
    isJpeg: segments.compression === tiffCompression.jpeg,
    jpegTables: tables && Buffer.from(Array.from({ length: tables.count }, (_, i) => tables.at(i))),
  };
}
