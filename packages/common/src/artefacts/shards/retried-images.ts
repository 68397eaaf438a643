import { TrommelError } from "../../errors.js";
import type { FailedImage } from "./ledger.js";
import type { ImagePlace, Shard } from "./listing.js";

/** A row's next try. */
interface NextTry extends ImagePlace {
  readonly key: string;
}

/**
 * Failed rows that later shards try again, from those later shards, and what came of it. Holds one small object per row
 * that is tried again and nothing of the others.
 */
export class RetriedImages {
  readonly #next = new Map<number, Map<number, NextTry>>();
  readonly #failed = new Map<number, ReadonlySet<number>>();
  #lastShard = -1;
  #count = 0;

  /**
   * Takes a shard that supersedes rows; in ascending order.
   * @param failed of that shard
   * @throws TrommelError `corrupt` where it supersedes nothing, a row of no earlier shard, or one that another supersedes
   */
  add(shard: Shard, failed: readonly FailedImage[]): void {
    const { index, entries, supersedes, skipped } = shard;
    if (supersedes === undefined || skipped.length > 0)
      throw notARetry(index, "it names no rows that it tries again");
    if (index <= this.#lastShard) throw notARetry(index, `it came after shard ${this.#lastShard}`);
    this.#lastShard = index;
    for (const [position, place] of supersedes.rows.entries()) {
      if (place.shard >= index) throw notARetry(index, `it tries rows of shard ${place.shard} again`);
      const ofShard = this.#next.get(place.shard) ?? new Map<number, NextTry>();
      this.#next.set(place.shard, ofShard);
      if (ofShard.has(place.position))
        throw notARetry(
          index,
          `row ${place.position} of shard ${place.shard} is tried again twice from the same try`,
        );
      ofShard.set(place.position, { shard: index, position, key: entries[position]?.key ?? "" });
      this.#count += 1;
    }
    this.#failed.set(index, new Set(failed.map((row) => row.position)));
  }

  /** Rows that are tried again; one that is tried twice more counts twice. */
  get count(): number {
    return this.#count;
  }

  /** The rows of a shard that are tried again, by position. */
  ofShard(index: number): ReadonlyMap<number, NextTry> {
    return this.#next.get(index) ?? new Map<number, NextTry>();
  }

  /** Whether a failed row is tried again and its last try is no failure. */
  isRecovered(place: ImagePlace): boolean {
    const next = this.#next.get(place.shard)?.get(place.position);
    if (next === undefined) return false;
    if (this.#failed.get(next.shard)?.has(next.position) !== true) return true;
    return this.isRecovered(next);
  }
}

function notARetry(index: number, why: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot count shard ${index}: ${why}. Its shard file is damaged; try again under another name`,
    { context: { shard: index } },
  );
}
