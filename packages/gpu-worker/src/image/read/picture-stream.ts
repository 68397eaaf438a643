import { availableParallelism } from "node:os";
import { TrommelError, type FailureReason, type ShardEntry } from "@trommel/common";
import pLimit from "p-limit";
import { decodeImage, type DecodedImage, type ResolvedDecodeRecipe } from "../decode/decode-image.js";
import { decodeMemoryBytes } from "../decode/decode-memory.js";
import type { GiveBack } from "../budgets/memory-budget.js";
import type { PictureBudgets } from "../budgets/picture-budgets.js";
import { readPatiently, type PatientReader, type ReadOutcome } from "./read-patiently.js";

/** Files of a shard that are fetched or decoded at once; how much they take is for the budgets to bound. */
const filesAtOnce = Math.max(8, 2 * availableParallelism());

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
  /** Positions that are left out: nothing of their files is wanted. @default none */
  readonly skip?: ReadonlySet<number> | undefined;
  /** Told of a file's bytes before they are decoded. @returns whether that is not needed: then nothing is yielded for it */
  readonly recognise?: ((position: number, bytes: Uint8Array) => Promise<boolean>) | undefined;
  /** Decodes the bytes of the file at that position. @default in this process, several at once */
  readonly decodeFile?:
    ((position: number, bytes: Uint8Array, timeoutMs: number) => Promise<FileOutcome>) | undefined;
  /** Pictures that are under way or decoded and waiting. */
  readonly window: number;
  /** Shared by every shard of the process. @default no bound but `window` */
  readonly budgets?: PictureBudgets;
  /** Of this shard among those of the process: the least is decoded first. @default 0 */
  readonly order?: number;
  readonly signal: AbortSignal;
}

/** A picture, and the room in the budget that it takes until it is handed on. */
interface LoadedPicture {
  /** Undefined where it was recognised. */
  readonly picture: Loaded | undefined;
  readonly giveBack: GiveBack;
}

/**
 * Fetches and decodes a shard's files, many at once, and yields them in shard order. A file that cannot be read is a
 * value; a store that cannot be reached is an exception, for then the shard has to be tried again.
 * @throws TrommelError `unavailable` where the store fails for too many of the files; what `probe` and `signal` throw
 */
export async function* streamPictures(options: PictureStreamOptions): AsyncGenerator<Picture> {
  const { entries, window, skip } = options;
  const positions = [...entries.keys()].filter((position) => skip?.has(position) !== true);
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const { readTimeoutMs, pausesMs } = { ...pictureBounds, ...options.bounds };
  const reader: PatientReader = {
    ...{ read: options.read, probe: options.probe },
    ...{ readTimeoutMs, pausesMs, signal },
  };
  const limit = pLimit(filesAtOnce);
  const underWay: Promise<LoadedPicture>[] = [];
  let next = 0;
  let blamed = 0;
  try {
    while (next < positions.length || underWay.length > 0) {
      while (next < positions.length && underWay.length < window) {
        const position = positions[next] as number;
        const loading = limit(loadWithRoom, position, entries[position] as ShardEntry, reader, options);
        // The failure is thrown where the picture's turn comes; until then it is not unhandled.
        loading.catch(() => undefined);
        underWay.push(loading);
        next += 1;
      }
      signal.throwIfAborted();
      const first = underWay.shift();
      if (first === undefined) continue;
      const { picture, giveBack } = await first;
      try {
        if (picture === undefined) continue;
        const { byStore = false, ...rest } = picture;
        blamed += byStore ? 1 : 0;
        if (blamed > Math.max(1, entries.length * blamedShare)) throw storeAtFault(blamed, entries.length);
        yield rest;
      } finally {
        giveBack();
      }
    }
  } finally {
    ended.abort(new TrommelError("cancelled", "nobody waits for these files any more"));
    for (const outcome of await Promise.allSettled(underWay)) {
      if (outcome.status === "fulfilled") outcome.value.giveBack();
    }
  }
}

/**
 * Room is asked for in one order: that of the base image, of the file, a turn to decode, of its decoding. Whoever holds a later one waits
 * for no earlier one; and room for base images is granted in shard order, so that the picture whose turn it is has its
 * own. So nobody waits for ever.
 */
async function loadWithRoom(
  position: number,
  entry: ShardEntry,
  reader: PatientReader,
  options: PictureStreamOptions,
): Promise<LoadedPicture> {
  const { side } = options.decode;
  const giveBack = await reserve(options, "waiting", side * side * 3, reader.signal);
  try {
    const picture = await loadPicture(position, entry, reader, options);
    return { picture, giveBack };
  } catch (thrown) {
    giveBack();
    throw thrown;
  }
}

async function loadPicture(
  position: number,
  entry: ShardEntry,
  reader: PatientReader,
  options: PictureStreamOptions,
): Promise<Loaded | undefined> {
  const base = { position, key: entry.key };
  const { maxBytes } = options.decode;
  if (entry.sizeBytes > maxBytes) {
    const detail = `${entry.sizeBytes} bytes, the recipe allows ${maxBytes}`;
    return { ...base, ok: false, reason: "too-large", detail, tries: 1 };
  }
  const [fileHeld, file] = await fetchFile(entry, reader, options);
  try {
    if (!file.ok) return { ...base, ...file };
    if ((await options.recognise?.(position, file.bytes)) === true) return undefined;
    const decoded = await decodeWithRoom(position, file.bytes, reader.signal, options);
    if (decoded.ok) return { ...base, ok: true, pixels: decoded.pixels };
    const { reason, detail } = decoded;
    const tries = "tries" in decoded ? decoded.tries : reason === "timed-out" ? decodeTries : 1;
    return { ...base, ok: false, reason, detail, tries };
  } finally {
    fileHeld();
  }
}

/** The file and the room it takes. One that has grown since it was listed is asked for again, with all the room it may take. */
async function fetchFile(
  entry: ShardEntry,
  reader: PatientReader,
  options: PictureStreamOptions,
): Promise<[GiveBack, ReadOutcome]> {
  const { maxBytes } = options.decode;
  for (let room = entry.sizeBytes; ; room = maxBytes) {
    const giveBack = await reserve(options, "files", room, reader.signal);
    try {
      const file = await readPatiently(entry, room, reader);
      if (file.ok || file.reason !== "too-large" || room >= maxBytes) return [giveBack, file];
    } catch (thrown) {
      giveBack();
      throw thrown;
    }
    giveBack();
  }
}

async function decodeWithRoom(
  position: number,
  bytes: Uint8Array,
  signal: AbortSignal,
  options: PictureStreamOptions,
): Promise<FileOutcome> {
  const { budgets, decode, decodeFile, order = 0 } = options;
  const timeoutMs = options.bounds?.decodeTimeoutMs ?? pictureBounds.decodeTimeoutMs;
  // Its header may be what a worker died of: a file that is decoded elsewhere is not looked into here.
  const isHere = budgets !== undefined && decodeFile === undefined;
  const endTurn = isHere ? await budgets.turns.take(order, signal) : () => undefined;
  let giveBack: GiveBack = () => undefined;
  try {
    const sizeBytes = isHere ? await decodeMemoryBytes(bytes, decode.maxPixels) : 0;
    giveBack = await reserve(options, "decoding", sizeBytes, signal);
    const tryOnce = (): Promise<FileOutcome> =>
      decodeFile?.(position, bytes, timeoutMs) ?? decodeImage(bytes, decode, timeoutMs);
    const decoded = await tryOnce();
    // A machine that slept, or has too much to do, looks like a slow picture: once is no proof.
    const timedOut = !decoded.ok && decoded.reason === "timed-out" && !("tries" in decoded);
    return timedOut ? await tryOnce() : decoded;
  } finally {
    giveBack();
    endTurn();
  }
}

async function reserve(
  { budgets }: PictureStreamOptions,
  kind: "files" | "decoding" | "waiting",
  sizeBytes: number,
  signal: AbortSignal,
): Promise<GiveBack> {
  return budgets === undefined ? () => undefined : budgets[kind].reserve(sizeBytes, signal);
}

function storeAtFault(files: number, entries: number): TrommelError {
  return new TrommelError(
    "unavailable",
    `failed to read ${files} of a shard's ${entries} files: the store gives none of them in time or whole. ` +
      `Look at the store, then resume`,
    { context: { files, entries } },
  );
}
