import { endsEarly } from "../file-end.js";
import type { WholePicture } from "../picture-request.js";
import { watchWarnings } from "./decoder-warnings.js";
import { firstFrameEnd, wholeGif } from "./gif-pixels.js";
import { inSlices } from "./in-slices.js";
import { lacksScans, walkJpeg } from "./jpeg-state.js";
import { missingScan } from "./jpeg-frame.js";
import { PictureFault } from "./picture-fault.js";
import { wholePng } from "./png-rows.js";
import { checkRefusedTiff, decodeTiff } from "./whole-tiff.js";
import { longerWebp, wholeWebp } from "./webp-chunks.js";

const endOfImage = Buffer.from([0xff, 0xd9]);

/**
 * Decodes a picture, and makes sure that the decoder had all of it. libjpeg paints what is missing grey and only warns, and says
 * nothing at all about scans that never come; libvips paints tiles that libtiff cannot read black; other decoders refuse whole
 * pictures for what follows them. A photograph that is decoded without a warning costs a look at its headers; only the others
 * are read code by code.
 * @throws PictureFault if a part is missing, or the file is broken; what `decode` throws
 */
export async function decodeWhole<Pixels>(picture: WholePicture<Pixels>): Promise<Pixels> {
  const { bytes, format, decode, isFinal } = picture;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const failOn = format === "jpeg" ? "none" : "error";
  const hasWarned = watchWarnings();
  try {
    const pixels = format === "tiff" ? await decodeTiff(picture) : await decode(bytes, failOn);
    if (format === "jpeg") await checkDecodedJpeg(picture, buffer, hasWarned());
    if (format === "gif") checkDecodedGif(buffer);
    return pixels;
  } catch (thrown) {
    if (thrown instanceof PictureFault || (await isFinal(thrown))) throw thrown;
  }
  if (format === "tiff") await checkRefusedTiff(picture);
  const whole = await wholePart(picture, buffer);
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

/**
 * A warning may be that of another picture, so the outcome may not depend on it alone. The decoder warns itself of blocks that
 * it does not get; of codes that are in no table only at times, so that it has to refuse the file when warnings are errors.
 */
async function checkDecodedJpeg<Pixels>(
  { decode, isFinal, maxPixels, signal }: WholePicture<Pixels>,
  bytes: Buffer,
  hasWarned: boolean,
): Promise<void> {
  if (!hasWarned && !endsInZeros(bytes)) {
    if (await inSlices(lacksScans(bytes, maxPixels), signal)) throw missingScan();
    return;
  }
  try {
    await inSlices(walkJpeg(bytes, maxPixels), signal);
  } catch (fault) {
    if (!(fault instanceof PictureFault) || fault.state === "truncated") throw fault;
    const isRefused = await decode(bytes, "warning").then(
      () => false,
      async (thrown: unknown) => {
        if (await isFinal(thrown)) throw thrown;
        return true;
      },
    );
    if (isRefused) throw fault;
  }
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
    firstFrameEnd(bytes);
  } catch (thrown) {
    if (!(thrown instanceof PictureFault) || thrown.state === "truncated") throw thrown;
  }
}

/** The bytes of a refused file that make its whole picture. @throws PictureFault if it has none */
async function wholePart(
  { format, maxPixels, signal }: Pick<WholePicture<unknown>, "format" | "maxPixels" | "signal">,
  bytes: Buffer,
): Promise<Buffer> {
  switch (format) {
    case "jpeg":
      return Buffer.concat([
        bytes.subarray(0, await inSlices(walkJpeg(bytes, maxPixels), signal)),
        endOfImage,
      ]);
    case "png":
      return await wholePng(bytes, signal);
    case "gif":
      return wholeGif(bytes);
    case "webp":
      return wholeWebp(bytes);
    case "avif":
    case "tiff": {
      const isCut = await inSlices(endsEarly(bytes, format), signal);
      throw new PictureFault(isCut ? "truncated" : "broken", "its decoder refuses it");
    }
  }
}
