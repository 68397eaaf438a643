import type { TrommelError } from "@trommel/common";
import { toTrommelError, type FailureReason, type ShardEntry } from "@trommel/common";
import pLimit from "p-limit";
import { decodeImage, type DecodedImage, type ResolvedDecodeRecipe } from "./decode-image.js";

/** Files of a shard whose bytes are in memory at once; with the recipe's `maxBytes` the bound on what they take. */
const filesAtOnce = 8;

/** One file of a shard: its base image, or why there is none. */
export type Picture = { readonly position: number; readonly key: string } & (
  | { readonly ok: true; /** [side, side, 3], RGB. */ readonly pixels: Uint8Array }
  | { readonly ok: false; readonly reason: FailureReason; readonly detail: string }
);

/** What came of a file's bytes. */
export type FileOutcome =
  DecodedImage | { readonly ok: false; readonly reason: FailureReason; readonly detail: string };

export interface PictureStreamOptions {
  readonly entries: readonly ShardEntry[];
  /** @throws TrommelError as ObjectStore.get does */
  readonly read: (key: string, maxBytes: number, signal: AbortSignal) => Promise<Uint8Array>;
  readonly decode: ResolvedDecodeRecipe;
  /** Decodes the bytes of the file at that position. @default in this process, several at once */
  readonly decodeFile?: ((position: number, bytes: Uint8Array) => Promise<FileOutcome>) | undefined;
  /** Pictures that are under way or decoded and waiting. */
  readonly window: number;
  readonly signal: AbortSignal;
}

/**
 * Fetches and decodes a shard's files, many at once, and yields them in shard order. A file that cannot be read is a
 * value; a store that cannot be reached is an exception, for then the shard has to be tried again.
 */
export async function* streamPictures(options: PictureStreamOptions): AsyncGenerator<Picture> {
  const { entries, window, signal } = options;
  const limit = pLimit(filesAtOnce);
  const underWay: Promise<Picture>[] = [];
  let next = 0;
  try {
    while (next < entries.length || underWay.length > 0) {
      while (next < entries.length && underWay.length < window) {
        const loading = limit(loadPicture, next, entries[next] as ShardEntry, options);
        // The failure is thrown where the picture's turn comes; until then it is not unhandled.
        loading.catch(() => undefined);
        underWay.push(loading);
        next += 1;
      }
      signal.throwIfAborted();
      const first = underWay.shift();
      if (first !== undefined) yield await first;
    }
  } finally {
    await Promise.allSettled(underWay);
  }
}

async function loadPicture(
  position: number,
  entry: ShardEntry,
  options: PictureStreamOptions,
): Promise<Picture> {
  const base = { position, key: entry.key };
  const { maxBytes } = options.decode;
  if (entry.sizeBytes > maxBytes) {
    return {
      ...base,
      ok: false,
      reason: "too-large",
      detail: `${entry.sizeBytes} bytes, the recipe allows ${maxBytes}`,
    };
  }
  let bytes: Uint8Array;
  try {
    bytes = await options.read(entry.key, maxBytes, options.signal);
  } catch (thrown) {
    const error = toTrommelError(thrown);
    const reason = readFailure(error);
    if (reason === undefined) throw error;
    return { ...base, ok: false, reason, detail: "the store refused it when its turn came" };
  }
  const decoded = await (options.decodeFile?.(position, bytes) ?? decodeImage(bytes, options.decode));
  return decoded.ok
    ? { ...base, ok: true, pixels: decoded.pixels }
    : { ...base, ok: false, reason: decoded.reason, detail: decoded.detail.slice(0, 300) };
}

function readFailure(error: TrommelError): FailureReason | undefined {
  switch (error.code) {
    case "not-found":
      return "not-found";
    case "forbidden":
      return "forbidden";
    case "too-large":
      return "too-large";
    default:
      return undefined;
  }
}
