import { canonicalJson, type ObjectStore, type ScoringConfig, type ShardEntry } from "@trommel/common";
import type { KeyFilter } from "../listing/key-filter.js";
import { chooseSample } from "../plan/choose-sample.js";
import { whySkipped } from "../plan/stream-shards.js";
import type { ImageSource } from "../sources/image-source.js";
import type { SkippedSums } from "./skipped-sums.js";

/** An entry of a source, and the values of the source's carried columns. */
export interface ListedEntry {
  readonly entry: ShardEntry;
  readonly carried: readonly unknown[];
}

/** What decides an entry's row besides the model: all that is listed of it. */
export function entryText({ entry: { key, sizeBytes, etag, at }, carried }: ListedEntry): string {
  // Quicker than JSON, and enough for most entries: with the length of the key in front no two have the same text.
  if (at === undefined && carried.length === 0) return `${key.length} ${sizeBytes} ${key}${etag}`;
  return canonicalJson([key, sizeBytes, etag, at ?? null, carried]);
}

/**
 * The entries of a scoring's source as it is now, in its order. A sample has the share of the keys that the first listing drew.
 * @param listing.skipped counts what is not an image
 */
export async function* listEntries(
  config: ScoringConfig,
  listing: {
    readonly store: ObjectStore;
    readonly source: ImageSource;
    readonly filter: KeyFilter;
    readonly skipped: SkippedSums;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<ListedEntry> {
  const { store, source, filter, skipped, signal } = listing;
  const { limit = Infinity } = config;
  const sample = await chooseSample(config, { store, source, signal, skip: (key) => filter.skip(key) });
  let images = 0;
  for await (const object of source.list("", { withUnusable: true })) {
    signal.throwIfAborted();
    const { key, sizeBytes, etag, at, carried = [] } = object;
    const skip = whySkipped(object, (of) => filter.skip(of) ?? sample.skip(of));
    if (skip !== undefined) {
      skipped.add(key, skip);
      continue;
    }
    yield { entry: { key, sizeBytes, etag, ...(at === undefined ? {} : { at }) }, carried };
    images += 1;
    if (images >= limit) return;
  }
}
