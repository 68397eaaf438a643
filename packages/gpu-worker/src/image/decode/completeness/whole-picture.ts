import { setImmediate } from "node:timers/promises";
import type { DecodableFormat } from "../image-format.js";
import { endsEarly } from "../file-end.js";
import { watchWarnings } from "./decoder-warnings.js";
import { wholeGif } from "./gif-pixels.js";
import { lacksScans, walkJpeg } from "./jpeg-state.js";
import { missingScan } from "./jpeg-frame.js";
import { PictureFault } from "./picture-fault.js";
import { wholePng } from "./png-rows.js";
import { longerWebp, wholeWebp } from "./webp-chunks.js";

/** How long reading codes may keep the process from anything else. */
const sliceMs = 10;
const endOfImage = Buffer.from([0xff, 0xd9]);

export type FailOn = "none" | "error";

export interface WholePicture<Pixels> {
  readonly bytes: Uint8Array;
  readonly format: DecodableFormat;
  /** Decodes a file; the level is libvips'. */
  readonly decode: (bytes: Uint8Array, failOn: FailOn) => Promise<Pixels>;
  /** Whether nothing is to be found out about what `decode` threw. */
  readonly isFinal: (thrown: unknown) => Promise<boolean>;
  readonly signal: AbortSignal;
}

/**
 * Decodes a picture, and makes sure that the decoder had all of it. libjpeg paints what is missing grey and only warns, and says
 * nothing at all about scans that never come; other decoders refuse whole pictures for what follows them. A photograph that
 * is decoded without a warning costs a look at its headers; only the others are read code by code.
 * @throws PictureFault if a part is missing, or the file is broken; what `decode` throws
 */
export async function decodeWhole<Pixels>(picture: WholePicture<Pixels>): Promise<Pixels> {
  const { bytes, format, decode, isFinal, signal } = picture;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const failOn = format === "jpeg" ? "none" : "error";
  const hasWarned = watchWarnings();
  try {
    const pixels = await decode(bytes, failOn);
    if (format === "jpeg") await checkDecodedJpeg(buffer, hasWarned(), signal);
    if (format === "gif") checkDecodedGif(buffer);
    return pixels;
  } catch (thrown) {
    if (thrown instanceof PictureFault || (await isFinal(thrown))) throw thrown;
  }
  const whole = await wholePart(buffer, format, signal);
  try {
    return await decode(whole, "none");
  } catch (thrown) {
    if (format !== "webp" || (await isFinal(thrown))) throw thrown;
    const isShort = await decode(longerWebp(whole), failOn).then(
      () => true,
      () => false,
    );
    throw isShort ? new PictureFault("truncated", "its data end before its picture does") : thrown;
  }
}

async function checkDecodedJpeg(bytes: Buffer, hasWarned: boolean, signal: AbortSignal): Promise<void> {
  if (hasWarned || endsInZeros(bytes)) await inSlices(walkJpeg(bytes), signal);
  else if (lacksScans(bytes)) throw missingScan();
}

/** Whether zeros end a file without the marker before them: an interrupted copy leaves them, and the decoder reads them as codes. */
function endsInZeros(bytes: Buffer): boolean {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end < bytes.length && !bytes.subarray(end - endOfImage.length, end).equals(endOfImage);
}

/** What is odd about codes that the decoder read is its own to judge; it says nothing about pixels that never come. */
function checkDecodedGif(bytes: Buffer): void {
  try {
    wholeGif(bytes);
  } catch (thrown) {
    if (!(thrown instanceof PictureFault) || thrown.state === "truncated") throw thrown;
  }
}

/** The bytes of a refused file that make its whole picture. @throws PictureFault if it has none */
async function wholePart(bytes: Buffer, format: DecodableFormat, signal: AbortSignal): Promise<Buffer> {
  switch (format) {
    case "jpeg":
      return Buffer.concat([bytes.subarray(0, await inSlices(walkJpeg(bytes), signal)), endOfImage]);
    case "png":
      return await wholePng(bytes, signal);
    case "gif":
      return wholeGif(bytes);
    case "webp":
      return wholeWebp(bytes);
    case "avif":
    case "tiff":
      throw new PictureFault(endsEarly(bytes, format) ? "truncated" : "broken", "its decoder refuses it");
  }
}

/** Runs a walk to its end, with pauses. */
async function inSlices<Result>(walk: Generator<void, Result>, signal: AbortSignal): Promise<Result> {
  let until = performance.now() + sliceMs;
  for (;;) {
    const { done, value } = walk.next();
    if (done === true) return value;
    if (performance.now() < until) continue;
    await setImmediate(undefined, { signal });
    until = performance.now() + sliceMs;
  }
}
