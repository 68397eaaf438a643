import type { ListingSummary, Shard } from "@trommel/common";
import type { KeyFilter } from "./key-filter.js";

type LeftOut = NonNullable<ListingSummary["leftOut"]>;

/** Adds up the shards of a listing. */
export class ListingTotals {
  shards = 0;
  images = 0;
  skipped = 0;
  sizeBytes = 0;
  readonly #filter: KeyFilter;
  readonly #leftOut: LeftOut = { excluded: {}, notIncluded: 0 };

  /** @param filter what the listing goes by */
  constructor(filter: KeyFilter) {
    this.#filter = filter;
  }

  add(shard: Shard): void {
    const { entries, skipped, leftOut } = shard;
    this.images += entries.length;
    this.skipped += skipped.length;
    for (const { sizeBytes } of entries) this.sizeBytes += sizeBytes;
    this.#filter.note(shard);
    if (leftOut === undefined) return;
    const sums = this.#leftOut;
    sums.notIncluded += leftOut.notIncluded;
    this.skipped += leftOut.notIncluded;
    const { notSampled = 0 } = leftOut;
    if (notSampled > 0) sums.notSampled = (sums.notSampled ?? 0) + notSampled;
    this.skipped += notSampled;
    for (const [pattern, objects] of Object.entries(leftOut.excluded)) {
      countExcluded(sums.excluded, pattern, objects);
      this.skipped += objects;
    }
  }

  /** What a listing that is complete says. */
  summary(): ListingSummary {
    const { shards, images, skipped, sizeBytes } = this;
    const left = this.#leftOut;
    const patterns = this.#filter.isOpen ? {} : { withoutEffect: this.#filter.withoutEffect(left.excluded) };
    const leftOut = this.#filter.isOpen && left.notSampled === undefined ? {} : { leftOut: left };
    return {
      ...{ formatVersion: 1, listed: images + skipped, shards, images, skipped, sizeBytes },
      ...leftOut,
      ...patterns,
    };
  }
}

/** A pattern may be the name of what every object inherits: `constructor` has no count yet, and `__proto__` gets one. */
export function countExcluded(excluded: LeftOut["excluded"], pattern: string, objects: number): void {
  const before = Object.hasOwn(excluded, pattern) ? (excluded[pattern] ?? 0) : 0;
  const value = before + objects;
  Object.defineProperty(excluded, pattern, { value, enumerable: true, writable: true, configurable: true });
}

/** The objects that patterns and a sample left out; 0 without any. */
export function countLeftOut({ leftOut }: Pick<ListingSummary, "leftOut">): number {
  if (leftOut === undefined) return 0;
  const { excluded, notIncluded, notSampled = 0 } = leftOut;
  return Object.values(excluded).reduce((sum, objects) => sum + objects, notIncluded + notSampled);
}
