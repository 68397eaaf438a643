import { toTrommelError } from "@trommel/common";
import { withTimeout } from "@trommel/common/waiting";
import sharp from "sharp";
import { decodeImage, type ResolvedDecodeRecipe } from "../image/decode/decode-image.js";

/** 24 of them in base64 take less than 300 KB. */
const thumbnailBytesAtMost = 9000;
/** Qualities of WebP that are tried until a thumbnail is small enough; the last one of noise takes 6 KB. */
const qualities = [75, 50, 25, 5];
/** Pixels. */
const side = 160;
const readTimeoutMs = 10_000;
/** Larger files are shown without a picture. */
export const fileBytesAtMost = 64 * 1024 * 1024;

/** The whole picture, on grey where it is not square. */
const recipe: ResolvedDecodeRecipe = {
  side,
  fit: "letterbox",
  kernel: "lanczos3",
  background: [138, 148, 158],
  maxBytes: fileBytesAtMost,
  maxPixels: 100_000_000,
};

/**
 * Small pictures as data URIs, undefined for each that cannot be read. After a store that does not answer, no more are read,
 * so that a report is not held up.
 * @throws TrommelError only when the signal aborts
 */
export async function readThumbnails(
  keys: readonly string[],
  readImage: (key: string) => Promise<Uint8Array>,
  signal?: AbortSignal,
): Promise<(string | undefined)[]> {
  const thumbnails: (string | undefined)[] = [];
  let answers = true;
  for (const key of keys) {
    signal?.throwIfAborted();
    let thumbnail: string | undefined;
    try {
      if (answers) {
        const reading = withTimeout({ timeoutMs: readTimeoutMs, doing: `read ${key}` }, readImage(key));
        thumbnail = await thumbnailOf(await reading);
      }
    } catch (thrown) {
      answers = !["unavailable", "timed-out"].includes(toTrommelError(thrown).code);
    }
    thumbnails.push(thumbnail);
  }
  signal?.throwIfAborted();
  return thumbnails;
}

async function thumbnailOf(bytes: Uint8Array): Promise<string | undefined> {
  const decoded = await decodeImage(bytes, recipe);
  if (!decoded.ok) return undefined;
  const raw = { width: side, height: side, channels: 3 } as const;
  for (const quality of qualities) {
    const webp = await sharp(decoded.pixels, { raw }).webp({ quality }).toBuffer();
    if (webp.length <= thumbnailBytesAtMost) return `data:image/webp;base64,${webp.toString("base64")}`;
  }
  return undefined;
}
