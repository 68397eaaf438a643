import sharp from "sharp";
import type { ResizeOptions, SharpOptions } from "sharp";
import type { DecodeRecipe, FailureReason } from "@trommel/common";
// Imports files of common, not all of it: the process that decodes suspect files then starts in half the time.
import { messageOf, TrommelError } from "@trommel/common/errors";
import { inSlices } from "./completeness/in-slices.js";
import { PictureFault } from "./completeness/picture-fault.js";
import { decodeWhole } from "./completeness/whole-picture.js";
import { type DecodableFormat, imageFormat, type ImageFormat } from "./image-format.js";
import { enlarge, isEnlarged } from "./enlarge.js";
import { inColour, type Opened } from "./in-colour.js";
import { jpegSize } from "./jpeg-header.js";
import type { FailOn } from "./picture-request.js";
import { middleOf, tallCropBytes } from "./tall-crop.js";
import { openedAt } from "../tiff/choose-picture.js";
import { SamplesOutOfRange, withPlainSamples } from "../tiff/plain-samples.js";
import { stripsEndEarly, tilesEndEarly } from "../tiff/tiff-end.js";
import { withTimeout } from "@trommel/common/waiting";

/** libvips' cache would keep every decoded image, and its threads would compete with the network's. */
sharp.cache(false);
sharp.concurrency(1);

/** Failure reasons that depend only on a file's bytes. */
export type ImageFailureReason = Extract<
  FailureReason,
  | "empty"
  | "truncated"
  | "not-an-image"
  | "unsupported-format"
  | "too-large"
  | "too-many-pixels"
  | "decode-failed"
  | "timed-out"
>;

export type DecodedImage =
  | { readonly ok: true; /** [side, side, 3], RGB, sRGB. */ readonly pixels: Uint8Array }
  | { readonly ok: false; readonly reason: ImageFailureReason; readonly detail: string };

/** A decode recipe with its side resolved. */
export type ResolvedDecodeRecipe = Omit<DecodeRecipe, "side"> & {
  /** Pixels. */
  readonly side: number;
  /** The rule by which files become pixels: that of the bundle that scores. @default the newest */
  readonly decodeVersion?: number;
};

type Decodable = Extract<ImageFormat, { readonly kind: "decodable" }>;
type Refused = Extract<ImageFormat, { readonly kind: "refused" }>;

const fits = { squash: "fill", letterbox: "contain", crop: "cover" } as const;

/**
 * Decodes one file to the square base image: rotated by its EXIF flag, converted to sRGB by its embedded profile (also from
 * CMYK), grey copied to three channels, more bits than 8 cut to 8, transparency flattened on the background, first frame only.
 *
 * A bad image is a value, not an exception, whatever its bytes do to a reader: only a wrong recipe or a broken decoder throws.
 *
 * @param timeoutMs limit of the wait, including the queue for a thread; libvips itself stops at the next full second if the
 *   decoder of the format supports it
 */
export async function decodeImage(
  bytes: Uint8Array,
  recipe: ResolvedDecodeRecipe,
  timeoutMs = 30_000,
): Promise<DecodedImage> {
  if (bytes.length === 0) return failure("empty", "the file has no bytes");
  if (bytes.length > recipe.maxBytes) {
    return failure("too-large", `${bytes.length} bytes, the recipe allows ${recipe.maxBytes}`);
  }
  try {
    const found = imageFormat(bytes, recipe.decodeVersion);
    if (found.kind === "unknown") return failure("not-an-image", "no known picture signature");
    if (found.kind === "refused") return await refusal(bytes, found, timeoutMs);
    return await decodeFound(bytes, found, recipe, timeoutMs);
  } catch (thrown) {
    if (isTimeout(thrown)) return failure("timed-out", `decoding it takes longer than ${timeoutMs} ms`);
    if (thrown instanceof TrommelError) throw thrown;
    return failure("decode-failed", `its structure cannot be read: ${messageOf(thrown)}`);
  }
}

/** A picture that is cut is named so, also if the whole one could not be read. */
async function refusal(bytes: Uint8Array, found: Refused, timeoutMs: number): Promise<DecodedImage> {
  const directory = found.picture?.directory;
  if (directory === undefined || directory.isComplete) return failure("unsupported-format", found.format);
  const isCut = await withTimeout({ timeoutMs, doing: "read a picture's strips" }, (signal) =>
    inSlices(stripsEndEarly(directory, bytes.length), signal),
  );
  return isCut ? truncated("tiff") : failure("unsupported-format", found.format);
}

async function decodeFound(
  bytes: Uint8Array,
  found: Decodable,
  recipe: ResolvedDecodeRecipe,
  timeoutMs: number,
): Promise<DecodedImage> {
  try {
    const pixels = await withTimeout({ timeoutMs, doing: "decode a picture" }, async (signal) => {
      const directory = found.picture?.directory;
      if (directory !== undefined && (await inSlices(tilesEndEarly(directory, bytes.length), signal)))
        throw new PictureFault("truncated", "a tile is outside the file");
      const timeoutS = Math.ceil(timeoutMs / 1000);
      return await decodeWhole({
        ...{ bytes, format: found.format, maxPixels: recipe.maxPixels, signal, directory, timeoutS },
        decode: (file, failOn) => squarePixels(file, failOn, found, recipe, timeoutS),
        isFinal: async (thrown) =>
          thrown instanceof TrommelError ||
          thrown instanceof SamplesOutOfRange ||
          isTimeout(thrown) ||
          pixelCount(await headerSize(bytes, found.picture)) > recipe.maxPixels,
      });
    });
    return { ok: true, pixels };
  } catch (thrown) {
    if (isTimeout(thrown) || thrown instanceof TrommelError) throw thrown;
    if (thrown instanceof SamplesOutOfRange) return failure("decode-failed", `tiff: ${thrown.message}`);
    return await explain(bytes, found, recipe, thrown);
  }
}

async function squarePixels(
  bytes: Uint8Array,
  failOn: FailOn,
  found: Decodable,
  recipe: ResolvedDecodeRecipe,
  timeoutS: number,
): Promise<Uint8Array> {
  const { format, picture, numbers } = found;
  const [r, g, b] = recipe.background;
  const options: SharpOptions = {
    failOn,
    limitInputPixels: recipe.maxPixels,
    autoOrient: true,
    sequentialRead: true,
    ...openedAt(picture),
  };
  if (numbers !== undefined) {
    const plain = await withPlainSamples(bytes, numbers, { ...options, timeoutS });
    return squarePixels(plain, failOn, { kind: "decodable", format }, recipe, timeoutS);
  }
  // Without fastShrinkOnLoad libvips lets libjpeg shrink only images of at least four times the side, and leaves a factor
  // of two to the kernel: twice as fast as a full decode at 4000×3000, and within 3 of 255 of its result.
  const resize: ResizeOptions = {
    width: recipe.side,
    height: recipe.side,
    fit: fits[recipe.fit],
    kernel: recipe.kernel,
    background: { r, g, b },
    fastShrinkOnLoad: false,
  };
  const size = format === "jpeg" ? jpegSize(bytes) : undefined;
  // A JPEG has no transparency, so its background is painted only by the letterbox.
  const opened: Opened =
    size !== undefined && recipe.fit !== "letterbox"
      ? { source: sharp(bytes, options), ...size }
      : await inColour(bytes, options, timeoutS);
  const flat = opened.source.flatten({ background: { r, g, b } });
  const enlarges = recipe.decodeVersion !== 1 && isEnlarged(opened, recipe);
  const isTall = tallCropBytes(opened, recipe) > 0;
  const { data, info } = await (
    enlarges ? flat : flat.resize(isTall ? { ...resize, fit: "outside" } : resize)
  )
    .toColourspace("srgb")
    .raw({ depth: "uchar" })
    .timeout({ seconds: timeoutS })
    .toBuffer({ resolveWithObject: true });
  if (enlarges && info.channels === 3) return enlarge(data, info, recipe);
  if (isTall && info.channels === 3) return middleOf(data, info, recipe.side);
  if (info.width !== recipe.side || info.height !== recipe.side || info.channels !== 3) {
    throw new TrommelError(
      "internal",
      `cannot decode the image: sharp returned ${info.width}×${info.height}×${info.channels}, not ${recipe.side}×${recipe.side}×3. Report the file`,
    );
  }
  return data;
}

/** Says why there is no picture, from the file's header and structure, not from the decoder's message. */
async function explain(
  bytes: Uint8Array,
  { format, picture }: Decodable,
  recipe: ResolvedDecodeRecipe,
  thrown: unknown,
): Promise<DecodedImage> {
  const size = await headerSize(bytes, picture);
  const pixels = pixelCount(size);
  if (pixels > recipe.maxPixels) {
    return failure("too-many-pixels", `${pixels} pixels, the recipe allows ${recipe.maxPixels}`);
  }
  // The decoder's own message is not used: which one comes first depends on its threads, and ledgers must not differ.
  if (thrown instanceof PictureFault && thrown.state === "truncated") return truncated(format);
  if (size === null) return failure("decode-failed", `${format}: its header cannot be read`);
  return failure("decode-failed", `${format}: its ${size.width}×${size.height} pixels cannot be decoded`);
}

/** Our own limit, or libvips' message for a timeout. */
function isTimeout(thrown: unknown): boolean {
  return thrown instanceof TrommelError ? thrown.code === "timed-out" : /^timeout: /m.test(messageOf(thrown));
}

interface PixelSize {
  readonly width: number;
  readonly height: number;
}

/** 0 if the header cannot be read. */
function pixelCount(size: PixelSize | null): number {
  return size === null ? 0 : size.width * size.height;
}

/** The size in the header, without decoding pixels; null if the header cannot be read. */
async function headerSize(bytes: Uint8Array, picture: Decodable["picture"]): Promise<PixelSize | null> {
  try {
    const options: SharpOptions = { limitInputPixels: false, failOn: "none", ...openedAt(picture) };
    const { width, height } = await sharp(bytes, options).metadata();
    return { width, height };
  } catch {
    return null;
  }
}

function truncated(format: DecodableFormat): DecodedImage {
  return failure("truncated", `${format}: a part of its picture is missing`);
}

function failure(reason: ImageFailureReason, detail: string): DecodedImage {
  return { ok: false, reason, detail };
}
