import { setImmediate } from "node:timers/promises";
import type { DecodableFormat } from "../image-format.js";
import { endsEarly } from "../file-end.js";
import { watchWarnings } from "./decoder-warnings.js";
import { lacksScans, walkJpeg } from "./jpeg-state.js";
import { missingScan } from "./jpeg-frame.js";
import { PictureFault, type PictureState } from "./picture-state.js";
import { pngState } from "./png-state.js";

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
  const hasWarned = watchWarnings();
  try {
    const pixels = await decode(bytes, format === "jpeg" ? "none" : "error");
    if (format === "jpeg") await checkDecodedJpeg(buffer, hasWarned(), signal);
    return pixels;
  } catch (thrown) {
    if (thrown instanceof PictureFault || (await isFinal(thrown))) throw thrown;
    return await decode(await wholePart(buffer, format, signal), "none");
  }
}

async function checkDecodedJpeg(bytes: Buffer, hasWarned: boolean, signal: AbortSignal): Promise<void> {
  if (hasWarned) await inSlices(walkJpeg(bytes), signal);
  else if (lacksScans(bytes)) throw missingScan();
}

/** The bytes of a refused file that make its whole picture. @throws PictureFault if it has none */
async function wholePart(bytes: Buffer, format: DecodableFormat, signal: AbortSignal): Promise<Buffer> {
  if (format === "jpeg") {
    const end = await inSlices(walkJpeg(bytes), signal);
    return Buffer.concat([bytes.subarray(0, end), endOfImage]);
  }
  const state = await stateOf(bytes, format, signal);
  if (state !== "whole") throw new PictureFault(state, "its decoder refuses it");
  return bytes;
}

async function stateOf(
  bytes: Buffer,
  format: Exclude<DecodableFormat, "jpeg">,
  signal: AbortSignal,
): Promise<PictureState> {
  if (format === "png") return await pngState(bytes, signal);
  return endsEarly(bytes, format) ? "truncated" : "broken";
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
