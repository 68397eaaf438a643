import { availableParallelism } from "node:os";
import { TrommelError, type FailureReason, type ShardEntry } from "@trommel/common";
import pLimit from "p-limit";
import { decodeImage, type DecodedImage, type ResolvedDecodeRecipe } from "../decode/decode-image.js";
import { decodeMemoryBytes } from "../decode/decode-memory.js";
import type { GiveBack } from "../budgets/memory-budget.js";
import type { ImageBudgets } from "../budgets/image-budgets.js";
import { damageOf } from "./settled-failure.js";
import { readPatiently, type PatientReader, type ReadOutcome } from "./read-patiently.js";

/** Files of a shard that are fetched or decoded at once; the budgets limit how much memory they take. */
const filesAtOnce = Math.max(8, 2 * availableParallelism());

/** Time limits of one try of one file. They do not change pixels, so they are part of no fingerprint. */
const imageBounds = {
  readTimeoutMs: 60_000,
  decodeTimeoutMs: 30_000,
  /** Longest pauses before the second and the third read of a file. */
  pausesMs: [500, 2000],
} as const;
const decodeTries = 2;

/**
 * If the store itself fails for more than this share of a shard, the store is slow or broken, not its files: the shard is
 * retried. One such file is always allowed.
 */
const blamedShare = 1 / 32;

/** One image of a shard: its base image, or the reason why it failed. */
export type ShardImage = { readonly position: number; readonly key: string } & (
  | { readonly ok: true; /** [side, side, 3], RGB. */ readonly pixels: Uint8Array }
  | {
      readonly ok: false;
      readonly reason: FailureReason;
      /** Text that depends only on the file and the reason. */
      readonly detail: string;
      /** How often the file was read and decoded; fixed for each reason. */
      readonly tries: number;
    }
);

export interface ImageBounds {
  readonly readTimeoutMs?: number;
  readonly decodeTimeoutMs?: number;
  readonly pausesMs?: readonly [number, number];
}

/** The result of decoding a file's bytes. */
export type FileOutcome =
  | DecodedImage
  | {
      readonly ok: false;
      readonly reason: FailureReason;
      readonly detail: string;
      /** Set if all tries have been used already. */
      readonly tries: number;
    };

type Loaded = ShardImage & { readonly byStore?: boolean };

export interface ImageStreamOptions {
  readonly entries: readonly ShardEntry[];
  readonly read: PatientReader["read"];
  readonly probe: PatientReader["probe"];
  /** @default {@link imageBounds} */
  readonly bounds?: ImageBounds;
  readonly decode: ResolvedDecodeRecipe;
  /** Positions whose files are skipped. @default none */
  readonly skip?: ReadonlySet<number> | undefined;
  /** Called with a file's bytes before they are decoded. @returns true to skip the file: nothing is yielded for it */
  readonly recognise?: ((position: number, bytes: Uint8Array) => Promise<boolean>) | undefined;
  /** Decodes the bytes of the file at that position. @default in this process, several at once */
  readonly decodeFile?:
    ((position: number, bytes: Uint8Array, timeoutMs: number) => Promise<FileOutcome>) | undefined;
  /** Most images in progress or decoded and waiting. */
  readonly window: number;
  /** Shared by every shard of the process. @default no bound but `window` */
  readonly budgets?: ImageBudgets;
  /** Rank of this shard in the process: the lowest is decoded first. @default 0 */
  readonly order?: number;
  readonly signal: AbortSignal;
}

/** An image, and the reservation that it holds until it is yielded. */
interface LoadedImage {
  /** Undefined if it was recognised. */
  readonly image: Loaded | undefined;
  readonly giveBack: GiveBack;
}

/**
 * Fetches and decodes a shard's files, many at once, and yields them in shard order. A file that cannot be read is a value;
 * a store that cannot be reached is an exception, because the shard must then be retried.
 * @throws TrommelError `unavailable` if the store fails for too many files; whatever `probe` and `signal` throw
 */
export async function* streamImages(options: ImageStreamOptions): AsyncGenerator<ShardImage> {
  const { entries, window, skip } = options;
  const positions = [...entries.keys()].filter((position) => skip?.has(position) !== true);
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const { readTimeoutMs, pausesMs } = { ...imageBounds, ...options.bounds };
  const reader: PatientReader = {
    ...{ read: options.read, probe: options.probe },
    ...{ readTimeoutMs, pausesMs, signal },
  };
  const limit = pLimit(filesAtOnce);
  const underWay: Promise<LoadedImage>[] = [];
  let next = 0;
  let blamed = 0;
  try {
    while (next < positions.length || underWay.length > 0) {
      while (next < positions.length && underWay.length < window) {
        const position = positions[next] as number;
        const loading = limit(loadWithRoom, position, entries[position] as ShardEntry, reader, options);
        // A rejection is thrown when the image's turn comes; until then it must not count as unhandled.
        loading.catch(() => undefined);
        underWay.push(loading);
        next += 1;
      }
      signal.throwIfAborted();
      const first = underWay.shift();
      if (first === undefined) continue;
      const { image, giveBack } = await first;
      try {
        if (image === undefined) continue;
        const { byStore = false, ...rest } = image;
        blamed += byStore ? 1 : 0;
        if (blamed > Math.max(1, entries.length * blamedShare)) throw storeAtFault(blamed, entries.length);
        yield rest;
      } finally {
        giveBack();
      }
    }
  } finally {
    ended.abort(new TrommelError("cancelled", "these files are no longer needed"));
    for (const outcome of await Promise.allSettled(underWay)) {
      if (outcome.status === "fulfilled") outcome.value.giveBack();
    }
  }
}

/**
 * Reservations are made in one order: base image, file, turn to decode, decoding. A task that holds a later one never waits
 * for an earlier one, and base images are granted in shard order, so that the image whose turn it is has its own: no deadlock.
 */
async function loadWithRoom(
  position: number,
  entry: ShardEntry,
  reader: PatientReader,
  options: ImageStreamOptions,
): Promise<LoadedImage> {
  const { side } = options.decode;
  const giveBack = await reserve(options, "waiting", side * side * 3, reader.signal);
  try {
    const image = await loadImage(position, entry, reader, options);
    return { image, giveBack };
  } catch (thrown) {
    giveBack();
    throw thrown;
  }
}

async function loadImage(
  position: number,
  entry: ShardEntry,
  reader: PatientReader,
  options: ImageStreamOptions,
): Promise<Loaded | undefined> {
  const base = { position, key: entry.key };
  const { maxBytes } = options.decode;
  const damage = damageOf(entry);
  if (damage !== undefined) return { ...base, ...damage };
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

/** The file and its reservation. If a file has grown since it was listed, it is fetched again with the largest allowed reservation. */
async function fetchFile(
  entry: ShardEntry,
  reader: PatientReader,
  options: ImageStreamOptions,
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
  options: ImageStreamOptions,
): Promise<FileOutcome> {
  const { budgets, decode, decodeFile, order = 0 } = options;
  const timeoutMs = options.bounds?.decodeTimeoutMs ?? imageBounds.decodeTimeoutMs;
  // The header may be what crashed a worker: a file that another process decodes is not parsed in this one.
  const isHere = budgets !== undefined && decodeFile === undefined;
  const endTurn = isHere ? await budgets.turns.take(order, signal) : () => undefined;
  let giveBack: GiveBack = () => undefined;
  try {
    const sizeBytes = isHere ? await decodeMemoryBytes(bytes, decode) : 0;
    giveBack = await reserve(options, "decoding", sizeBytes, signal);
    const tryOnce = (): Promise<FileOutcome> =>
      decodeFile?.(position, bytes, timeoutMs) ?? decodeImage(bytes, decode, timeoutMs);
    const decoded = await tryOnce();
    // A machine that slept or is overloaded makes any image look slow, so one timeout proves nothing.
    const timedOut = !decoded.ok && decoded.reason === "timed-out" && !("tries" in decoded);
    return timedOut ? await tryOnce() : decoded;
  } finally {
    giveBack();
    endTurn();
  }
}

async function reserve(
  { budgets }: ImageStreamOptions,
  kind: "files" | "decoding" | "waiting",
  sizeBytes: number,
  signal: AbortSignal,
): Promise<GiveBack> {
  return budgets === undefined ? () => undefined : budgets[kind].reserve(sizeBytes, signal);
}

function storeAtFault(files: number, entries: number): TrommelError {
  return new TrommelError(
    "unavailable",
    `cannot read ${files} of a shard's ${entries} files: the store does not deliver them completely or in time. ` +
      `Check the store, then resume`,
    { context: { files, entries } },
  );
}
