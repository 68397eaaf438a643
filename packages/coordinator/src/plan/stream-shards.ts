import {
  canonicalJson,
  shardHash,
  TrommelError,
  type ListingSummary,
  type ObjectStore,
  type Shard,
  type ShardEntry,
  type SkipReason,
} from "@trommel/common";
import { jsonBytes, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { findListing, findShard } from "@trommel/common/artefacts";
import { skipByName, type Skip } from "../listing/key-filter.js";
import { countExcluded } from "../listing/listing-totals.js";
import type { ImageSource, ListedImage } from "../sources/image-source.js";
import { listAfter, noteListed, type ListedBefore } from "./continue-listing.js";

export interface StreamOptions {
  readonly source: Pick<ImageSource, "url" | "list" | "anyOrder" | "columns">;
  readonly store: ObjectStore;
  readonly shardKey: (index: number) => string;
  /** The key of the carried columns of a shard. @default they are not kept */
  readonly columnsKey?: (index: number) => string;
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
 * Source to shards, as a stream.
 *
 * In: the listing of `source`, in its order. Out: shard files in the store, each yielded once it is written.
 * A retry reads the existing shard files and continues the listing after their last key, so a shard never changes once it
 * has been queued, whatever happens to the prefix meanwhile. A source with an order of its own passes over as many images, and the last
 * of these has to be the last that was listed.
 */
export async function* streamShards(options: StreamOptions): AsyncGenerator<Shard> {
  let index = 0;
  const before: ListedBefore = { startAfter: undefined, passed: 0, last: [] };
  let images = 0;
  for (;;) {
    if (index === options.complete) return;
    const written = await findShard(options.store, options.shardKey(index));
    if (written === undefined) break;
    options.signal.throwIfAborted();
    noteListed(before, written);
    index += 1;
    images += written.entries.length;
    yield written;
  }
  const { imagesAtMost = Infinity } = options;
  if (images >= imagesAtMost) return;
  const cuts = cutShards(options, before, imagesAtMost - images);
  const write = (content: BuildingShard): Promise<Shard> => {
    const writing = writeWithColumns(options, index, content);
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
  before: ListedBefore,
  imagesAtMost: number,
): AsyncGenerator<BuildingShard> {
  let building = emptyShard(source);
  let images = 0;
  for await (const object of listAfter(source, before)) {
    signal.throwIfAborted();
    const why = whySkipped(object, skip);
    addTo(building, object, why);
    if (why === undefined) images += 1;
    if (images >= imagesAtMost) break;
    if (building.entries.length < shardSize && building.skipped.length < skippedAtMost) continue;
    yield building;
    building = emptyShard(source);
  }
  if (building.entries.length + building.skipped.length > 0 || building.leftOut !== undefined) yield building;
}

/** Objects in a hidden folder are hidden too, unless the name only looks hidden (`../x`). */
export function whySkipped(
  { key, unusable, skip: bySource }: ListedImage,
  skip: (key: string) => Skip | undefined,
): Skip | undefined {
  if (bySource !== undefined) return { reason: bySource };
  if (unusable === undefined) return skip(key);
  return (unusable === "illegal-key" ? undefined : skipByName(key)) ?? { reason: unusable };
}

interface ShardContent {
  readonly entries: ShardEntry[];
  readonly skipped: { key: string; reason: SkipReason }[];
  readonly anyOrder?: true | undefined;
  leftOut?: Shard["leftOut"];
}

interface BuildingShard extends ShardContent {
  /** The values of the carried columns, for each entry. */
  readonly carried: (readonly unknown[])[];
}

function emptyShard({ anyOrder = false }: StreamOptions["source"]): BuildingShard {
  return { entries: [], skipped: [], carried: [], ...(anyOrder ? { anyOrder } : {}) };
}

function addTo(building: BuildingShard, object: ListedImage, skip: Skip | undefined): void {
  const { key, sizeBytes, etag, at } = object;
  if (skip === undefined) {
    building.entries.push({ key, sizeBytes, etag, ...(at === undefined ? {} : { at }) });
    building.carried.push(object.carried ?? []);
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

/** The columns go first: a shard that exists has them. */
export async function writeWithColumns(
  {
    store,
    source,
    shardKey,
    columnsKey,
  }: Pick<StreamOptions, "store" | "shardKey"> & {
    readonly source: Pick<StreamOptions["source"], "columns">;
    readonly columnsKey?: StreamOptions["columnsKey"] | undefined;
  },
  index: number,
  { carried, ...content }: BuildingShard & Pick<Shard, "supersedes" | "copied">,
): Promise<Shard> {
  const carriedColumns = source.columns ?? [];
  if (columnsKey !== undefined && carriedColumns.length > 0) {
    const columns = carriedColumns.map((column, i) => ({
      ...column,
      values: carried.map((values) => values[i] ?? null),
    }));
    await store.put(
      columnsKey(index),
      jsonBytes({ formatVersion: 1, shard: shardHash(content.entries), columns }),
    );
  }
  return writeShard(store, shardKey(index), index, content);
}

/** @throws TrommelError `conflict`, retryable, if another shard exists there */
export async function writeShard(
  store: ObjectStore,
  key: string,
  index: number,
  content: ShardContent & Pick<Shard, "supersedes" | "copied">,
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
