import { TrommelError, type ShardEntry } from "@trommel/common";
import { openImages } from "../image/read/image-source.js";
import { fileBytesAtMost } from "./thumbnails.js";

/**
 * The bytes of one listed image, which is an object of its own or lies within an archive.
 * @param location of the source
 * @throws TrommelError as {@link requireShowable} and ObjectStore.get do
 */
export async function readListedImage(
  location: string,
  entry: ShardEntry,
  signal: AbortSignal,
): Promise<Uint8Array> {
  requireShowable(entry);
  const { files, close } = openImages(location, [entry]);
  try {
    return await files.read(entry, fileBytesAtMost, signal);
  } finally {
    close();
  }
}

/**
 * Holds an image to what is read for a small picture, before anything is read.
 * @throws TrommelError `too-large` above 64 MiB, of itself or of what is read of its archive; `unsupported` if its archive is damaged there
 */
export function requireShowable({ key, sizeBytes, at }: ShardEntry): void {
  const { object, range, damaged } = at ?? {};
  if (damaged !== undefined)
    throw new TrommelError(
      "unsupported",
      `cannot read ${key}: ${object} is damaged at byte ${damaged.offset}`,
    );
  // What precedes an image of a gzipped archive is read as a stream, and its range is one of the content.
  const readBytes = Math.max(sizeBytes, range?.[1] ?? 0);
  if (readBytes <= fileBytesAtMost) return;
  throw new TrommelError(
    "too-large",
    `cannot show ${key}: ${readBytes} bytes would be read, at most ${fileBytesAtMost} are. Open the image itself`,
  );
}
