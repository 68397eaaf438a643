import type { TrommelError } from "@trommel/common";
import { toTrommelError, type FailureReason, type ShardEntry } from "@trommel/common";
import pLimit from "p-limit";
import { decodeImage, type ResolvedDecodeRecipe } from "./decode-image.js";
import { decodeMemoryBytes } from "./decode-memory.js";
import type { GiveBack } from "./memory-budget.js";
import type { PictureBudgets } from "./picture-budgets.js";

/** Files of a shard that are fetched or decoded at once; how much they take is for the budgets to bound. */
const filesAtOnce = 8;

/** One file of a shard: its base image, or why there is none. */
export type Picture = { readonly position: number; readonly key: string } & (
  | { readonly ok: true; /** [side, side, 3], RGB. */ readonly pixels: Uint8Array }
  | { readonly ok: false; readonly reason: FailureReason; readonly detail: string }
);

export interface PictureStreamOptions {
  readonly entries: readonly ShardEntry[];
  /** @throws TrommelError as ObjectStore.get does */
  readonly read: (key: string, maxBytes: number, signal: AbortSignal) => Promise<Uint8Array>;
  readonly decode: ResolvedDecodeRecipe;
  /** Pictures that are under way or decoded and waiting. */
  readonly window: number;
  /** Shared by every shard of the process. @default no bound but `window` */
  readonly budgets?: PictureBudgets;
  readonly signal: AbortSignal;
}

/** A picture, and the room in the budget that it takes until it is handed on. */
interface LoadedPicture {
  readonly picture: Picture;
  readonly giveBack: GiveBack;
}

/**
 * Fetches and decodes a shard's files, many at once, and yields them in shard order. A file that cannot be read is a
 * value; a store that cannot be reached is an exception, for then the shard has to be tried again.
 */
export async function* streamPictures(options: PictureStreamOptions): AsyncGenerator<Picture> {
  const { entries, window, signal } = options;
  const limit = pLimit(filesAtOnce);
  const underWay: Promise<LoadedPicture>[] = [];
  let next = 0;
  try {
    while (next < entries.length || underWay.length > 0) {
      while (next < entries.length && underWay.length < window) {
        const loading = limit(loadWithRoom, next, entries[next] as ShardEntry, options);
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
        yield picture;
      } finally {
        giveBack();
      }
    }
  } finally {
    for (const outcome of await Promise.allSettled(underWay)) {
      if (outcome.status === "fulfilled") outcome.value.giveBack();
    }
  }
}

/**
 * Room is asked for in one order: that of the base image, of the file, of its decoding. Whoever holds a later one waits
 * for no earlier one; and room for base images is granted in shard order, so that the picture whose turn it is has its
 * own. So nobody waits for ever.
 */
async function loadWithRoom(
  position: number,
  entry: ShardEntry,
  options: PictureStreamOptions,
): Promise<LoadedPicture> {
  const { side } = options.decode;
  const giveBack = await reserve(options, "waiting", side * side * 3);
  try {
    const picture = await loadPicture(position, entry, options);
    return { picture, giveBack };
  } catch (thrown) {
    giveBack();
    throw thrown;
  }
}

async function loadPicture(
  position: number,
  entry: ShardEntry,
  options: PictureStreamOptions,
): Promise<Picture> {
  const base = { position, key: entry.key };
  const { maxBytes, maxPixels } = options.decode;
  if (entry.sizeBytes > maxBytes) {
    return {
      ...base,
      ok: false,
      reason: "too-large",
      detail: `${entry.sizeBytes} bytes, the recipe allows ${maxBytes}`,
    };
  }
  const [bytesHeld, bytes] = await fetchBytes(entry, options);
  try {
    if (!(bytes instanceof Uint8Array)) return { ...base, ok: false, ...bytes };
    const decodingBytes = options.budgets === undefined ? 0 : await decodeMemoryBytes(bytes, maxPixels);
    const decodingHeld = await reserve(options, "decoding", decodingBytes);
    try {
      const decoded = await decodeImage(bytes, options.decode);
      return decoded.ok
        ? { ...base, ok: true, pixels: decoded.pixels }
        : { ...base, ok: false, reason: decoded.reason, detail: decoded.detail.slice(0, 300) };
    } finally {
      decodingHeld();
    }
  } finally {
    bytesHeld();
  }
}

/** Why a file could not be read. */
type ReadFailure = Pick<Extract<Picture, { ok: false }>, "reason" | "detail">;

/** The file's bytes and the room they take. A file that has grown since it was listed is asked for again, with all the room it may take. */
async function fetchBytes(
  entry: ShardEntry,
  options: PictureStreamOptions,
): Promise<[GiveBack, Uint8Array | ReadFailure]> {
  const { maxBytes } = options.decode;
  for (let room = entry.sizeBytes; ; room = maxBytes) {
    const giveBack = await reserve(options, "files", room);
    try {
      return [giveBack, await options.read(entry.key, room, options.signal)];
    } catch (thrown) {
      const error = toTrommelError(thrown);
      const reason = readFailure(error);
      if (reason === "too-large" && room < maxBytes) {
        giveBack();
        continue;
      }
      if (reason !== undefined)
        return [giveBack, { reason, detail: "the store refused it when its turn came" }];
      giveBack();
      throw error;
    }
  }
}

async function reserve(
  { budgets, signal }: PictureStreamOptions,
  kind: keyof PictureBudgets,
  sizeBytes: number,
): Promise<GiveBack> {
  return budgets === undefined ? () => undefined : budgets[kind].reserve(sizeBytes, signal);
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
