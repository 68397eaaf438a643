import { TrommelError, type FailureReason, type ShardEntry } from "@trommel/common";
import pLimit from "p-limit";
import { decodeImage, type DecodedImage, type ResolvedDecodeRecipe } from "./decode-image.js";
import { readPatiently, type PatientReader } from "./read-patiently.js";

/** Files of a shard whose bytes are in memory at once; with the recipe's `maxBytes` the bound on what they take. */
const filesAtOnce = 8;

/** How long one try of one file may take. They shape no pixels, so they are the worker's and in no fingerprint. */
const pictureBounds = {
  readTimeoutMs: 60_000,
  decodeTimeoutMs: 30_000,
  /** Before a file is read for the second and the third time, at most. */
  pausesMs: [500, 2000],
} as const;
const decodeTries = 2;

/**
 * Where the store alone is at fault for more of a shard than this share, the store is slow or broken and its files are
 * not: then the shard is tried again. One file is always allowed.
 */
const blamedShare = 1 / 32;

/** One file of a shard: its base image, or why there is none. */
export type Picture = { readonly position: number; readonly key: string } & (
  | { readonly ok: true; /** [side, side, 3], RGB. */ readonly pixels: Uint8Array }
  | {
      readonly ok: false;
      readonly reason: FailureReason;
      /** Words that depend on the file and the reason alone. */
      readonly detail: string;
      /** Times that the file was read and decoded for this outcome; fixed for each reason. */
      readonly tries: number;
    }
);

export interface PictureBounds {
  readonly readTimeoutMs?: number;
  readonly decodeTimeoutMs?: number;
  readonly pausesMs?: readonly [number, number];
}

/** What came of a file's bytes. */
export type FileOutcome =
  | DecodedImage
  | {
      readonly ok: false;
      readonly reason: FailureReason;
      readonly detail: string;
      /** Where it was tried to the end already. */
      readonly tries: number;
    };

type Loaded = Picture & { readonly byStore?: boolean };

export interface PictureStreamOptions {
  readonly entries: readonly ShardEntry[];
  readonly read: PatientReader["read"];
  readonly probe: PatientReader["probe"];
  /** @default {@link pictureBounds} */
  readonly bounds?: PictureBounds;
  readonly decode: ResolvedDecodeRecipe;
  /** Decodes the bytes of the file at that position. @default in this process, several at once */
  readonly decodeFile?:
    ((position: number, bytes: Uint8Array, timeoutMs: number) => Promise<FileOutcome>) | undefined;
  /** Pictures that are under way or decoded and waiting. */
  readonly window: number;
  readonly signal: AbortSignal;
}

/**
 * Fetches and decodes a shard's files, many at once, and yields them in shard order. A file that cannot be read is a
 * value; a store that cannot be reached is an exception, for then the shard has to be tried again.
 * @throws TrommelError `unavailable` where the store fails for too many of the files; what `probe` and `signal` throw
 */
export async function* streamPictures(options: PictureStreamOptions): AsyncGenerator<Picture> {
  const { entries, window } = options;
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const { readTimeoutMs, pausesMs } = { ...pictureBounds, ...options.bounds };
  const reader: PatientReader = {
    ...{ read: options.read, probe: options.probe },
    ...{ readTimeoutMs, pausesMs, signal },
  };
  const limit = pLimit(filesAtOnce);
  const underWay: Promise<Loaded>[] = [];
  let next = 0;
  let blamed = 0;
  try {
    while (next < entries.length || underWay.length > 0) {
      while (next < entries.length && underWay.length < window) {
        const loading = limit(loadPicture, next, entries[next] as ShardEntry, reader, options);
        // The failure is thrown where the picture's turn comes; until then it is not unhandled.
        loading.catch(() => undefined);
        underWay.push(loading);
        next += 1;
      }
      signal.throwIfAborted();
      const picture = await underWay.shift();
      if (picture === undefined) continue;
      const { byStore = false, ...rest } = picture;
      blamed += byStore ? 1 : 0;
      if (blamed > Math.max(1, entries.length * blamedShare)) throw storeAtFault(blamed, entries.length);
      yield rest;
    }
  } finally {
    ended.abort(new TrommelError("cancelled", "nobody waits for these files any more"));
    await Promise.allSettled(underWay);
  }
}

async function loadPicture(
  position: number,
  entry: ShardEntry,
  reader: PatientReader,
  options: PictureStreamOptions,
): Promise<Loaded> {
  const base = { position, key: entry.key };
  const { maxBytes } = options.decode;
  if (entry.sizeBytes > maxBytes) {
    const detail = `${entry.sizeBytes} bytes, the recipe allows ${maxBytes}`;
    return { ...base, ok: false, reason: "too-large", detail, tries: 1 };
  }
  const file = await readPatiently(entry, maxBytes, reader);
  if (!file.ok) return { ...base, ...file };
  const timeoutMs = options.bounds?.decodeTimeoutMs ?? pictureBounds.decodeTimeoutMs;
  const decode = (): Promise<FileOutcome> =>
    options.decodeFile?.(position, file.bytes, timeoutMs) ??
    decodeImage(file.bytes, options.decode, timeoutMs);
  let decoded = await decode();
  // A machine that slept, or has too much to do, looks like a slow picture: once is no proof.
  const timedOut = !decoded.ok && decoded.reason === "timed-out" && !("tries" in decoded);
  if (timedOut) decoded = await decode();
  if (decoded.ok) return { ...base, ok: true, pixels: decoded.pixels };
  const { reason, detail } = decoded;
  const tries = "tries" in decoded ? decoded.tries : reason === "timed-out" ? decodeTries : 1;
  return { ...base, ok: false, reason, detail, tries };
}

function storeAtFault(files: number, entries: number): TrommelError {
  return new TrommelError(
    "unavailable",
    `failed to read ${files} of a shard's ${entries} files: the store gives none of them in time or whole. ` +
      `Look at the store, then resume`,
    { context: { files, entries } },
  );
}
