import {
  canonicalJson,
  compareUtf8,
  shardHash,
  TrommelError,
  type ListingSummary,
  type ObjectInfo,
  type ObjectStore,
  type Shard,
  type SkipReason,
} from "@trommel/common";
import { jsonBytes, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { findListing, findShard } from "@trommel/common/artefacts";
import { skipByName, type Skip } from "../listing/key-filter.js";
import { countExcluded } from "../listing/listing-totals.js";

export interface StreamOptions {
  readonly source: ObjectStore;
  readonly store: ObjectStore;
  readonly shardKey: (index: number) => string;
  readonly shardSize: number;
  /** The number of shards of a complete listing: they are read, and nothing is listed again. */
  readonly complete?: number | undefined;
  readonly signal: AbortSignal;
  /** Lists no further once there are so many images. @default all */
  readonly imagesAtMost?: number | undefined;
  /** Why an object is skipped; undefined if it is processed. */
  readonly skip: (key: string) => Skip | undefined;
}

/**
 * Prefix to shards, as a stream.
 *
 * In: the listing of `source`, in UTF-8 byte order. Out: shard files in the store, each yielded once it is written.
 * A retry reads the existing shard files and continues the listing after their last key, so a shard never changes once it
 * has been queued, whatever happens to the prefix meanwhile.
 */
export async function* streamShards(options: StreamOptions): AsyncGenerator<Shard> {
  let index = 0;
  let startAfter: string | undefined;
  let images = 0;
  for (;;) {
    if (index === options.complete) return;
    const written = await findShard(options.store, options.shardKey(index));
    if (written === undefined) break;
    options.signal.throwIfAborted();
    startAfter = lastKeyOf(written) ?? startAfter;
    index += 1;
    images += written.entries.length;
    yield written;
  }
  const { imagesAtMost = Infinity } = options;
  if (images >= imagesAtMost) return;
  const cuts = cutShards(options, startAfter, imagesAtMost - images);
  const write = (content: BuildingShard): Promise<Shard> => {
    const writing = writeShard(options.store, options.shardKey(index), index, content);
    index += 1;
    // Its failure is thrown when its turn comes; until then it must not count as unhandled.
    writing.catch(() => undefined);
    return writing;
  };
  // The first is queued at once; later ones are written while the next is listed. One write at a time and in order, so that
  // a coordinator that dies leaves no gap: the next one would cut the shards after a gap differently.
  let writing: Promise<Shard> | undefined;
  try {
    const first = await cuts.next();
    if (first.done === true) return;
    yield await write(first.value);
    for await (const content of cuts) {
      if (writing !== undefined) yield await writing;
      writing = write(content);
    }
    if (writing !== undefined) yield await writing;
  } finally {
    await cuts.return(undefined);
    await Promise.allSettled([writing]);
  }
}

/** A shard names what was skipped between its entries; a folder of nothing else fills several. */
const skippedAtMost = 50_000;

async function* cutShards(
  { source, signal, skip, shardSize }: StreamOptions,
  startAfter: string | undefined,
  imagesAtMost: number,
): AsyncGenerator<BuildingShard> {
  let building = emptyShard();
  let images = 0;
  const options = { withUnusable: true, ...(startAfter === undefined ? {} : { startAfter }) };
  for await (const object of source.list("", options)) {
    signal.throwIfAborted();
    const why = whySkipped(object, skip);
    addTo(building, object, why);
    if (why === undefined) images += 1;
    if (images >= imagesAtMost) break;
    if (building.entries.length < shardSize && building.skipped.length < skippedAtMost) continue;
    yield building;
    building = emptyShard();
  }
  if (building.entries.length + building.skipped.length > 0 || building.leftOut !== undefined) yield building;
}

/** Objects in a hidden folder are hidden too, unless the name only looks hidden (`../x`). */
function whySkipped(
  { key, unusable }: ObjectInfo,
  skip: (key: string) => Skip | undefined,
): Skip | undefined {
  if (unusable === undefined) return skip(key);
  return (unusable === "illegal-key" ? undefined : skipByName(key)) ?? { reason: unusable };
}

interface BuildingShard {
  readonly entries: { key: string; sizeBytes: number; etag: string }[];
  readonly skipped: { key: string; reason: SkipReason }[];
  leftOut?: Shard["leftOut"];
}

function emptyShard(): BuildingShard {
  return { entries: [], skipped: [] };
}

function addTo(building: BuildingShard, object: ObjectInfo, skip: Skip | undefined): void {
  const { key, sizeBytes, etag } = object;
  if (skip === undefined) {
    building.entries.push({ key, sizeBytes, etag });
  } else if (skip.reason === "excluded" || skip.reason === "not-included" || skip.reason === "not-sampled") {
    const leftOut = (building.leftOut ??= { excluded: {}, notIncluded: 0, last: key });
    leftOut.last = key;
    if (skip.reason === "not-included") leftOut.notIncluded += 1;
    if (skip.reason === "not-sampled") leftOut.notSampled = (leftOut.notSampled ?? 0) + 1;
    if (skip.reason === "excluded") countExcluded(leftOut.excluded, skip.pattern, 1);
  } else {
    building.skipped.push({ key, reason: skip.reason });
  }
}

/** @throws TrommelError `conflict`, retryable, if another shard exists there */
export async function writeShard(
  store: ObjectStore,
  key: string,
  index: number,
  content: BuildingShard & Pick<Shard, "supersedes">,
): Promise<Shard> {
  const shard: Shard = {
    formatVersion: 1,
    index,
    hash: shardHash(content.entries, content.supersedes),
    ...content,
  };
  const body = jsonBytes(shard);
  const outcome = await putJsonOnce(store, key, body);
  if (outcome === "exists") {
    const other = await findShard(store, key);
    if (other === undefined || canonicalJson(other) !== canonicalJson(shard)) {
      throw new TrommelError(
        "conflict",
        `cannot write ${key}: another coordinator cut this shard from another listing. The next try continues from its shards`,
        { retryable: true, context: { key } },
      );
    }
  }
  return shard;
}

function lastKeyOf(shard: Shard): string | undefined {
  const lasts = [shard.entries.at(-1)?.key, shard.skipped.at(-1)?.key, shard.leftOut?.last];
  return lasts.reduce((last, key) =>
    last === undefined || (key !== undefined && compareUtf8(key, last) > 0) ? key : last,
  );
}

/**
 * Writes a listing once: a coordinator that was paused and saw an older state of the prefix must not overwrite the listing
 * of another, whose shards are being processed.
 * @throws TrommelError `conflict`, retryable, if another listing exists
 */
export async function writeListing(store: ObjectStore, key: string, summary: ListingSummary): Promise<void> {
  const body = sealedJson(summary);
  if ((await putJsonOnce(store, key, body)) === "written") return;
  const existing = await findListing(store, key);
  if (existing !== undefined && canonicalJson(existing) === canonicalJson(summary)) return;
  throw new TrommelError(
    "conflict",
    `cannot write ${key}: another coordinator has listed the prefix meanwhile. The next try continues from its shards`,
    { retryable: true, context: { key } },
  );
}
