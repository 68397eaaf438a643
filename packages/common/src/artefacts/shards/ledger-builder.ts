import { TrommelError } from "../../errors.js";
import { shardHash } from "../runs/fingerprint.js";
import { findRepeated, KeyHashes } from "./distinct-keys.js";
import { accountedFor, type ErrorLine, type FailedImage, type Ledger, type ShardOutcome } from "./ledger.js";
import { compareUtf8, type GenerationSummary, type Shard } from "./listing.js";
import type { RetriedImages } from "./retried-images.js";
import type { ShardSpan } from "./retry.js";

/**
 * Adds up shards into the ledger that must balance. Every shard balances alone: its failed rows are distinct rows of it,
 * with their keys, and with those that are ok they are all of its rows. A row that is tried again counts by its last try.
 */
export class LedgerBuilder {
  readonly #retried: RetriedImages;
  readonly #failedByReason = new Map<string, number>();
  readonly #skippedByReason = new Map<string, number>();
  readonly #excludedByPattern = new Map<string, number>();
  #lastKey: string | undefined;
  readonly #keys = new KeyHashes();
  /** Hashes of keys of a source with an order of its own that occur twice. */
  readonly #repeated = new Set<string>();
  #lastShard = -1;
  #listed = 0;
  #ok = 0;
  #failed = 0;
  #superseded = 0;
  #skipped = 0;
  #unchanged: number | undefined;
  #shards = 0;

  /** @param retried of all shards that supersede rows */
  constructor(retried: RetriedImages) {
    this.#retried = retried;
  }

  /** Takes what a later generation's listing skipped, which its shards do not name. */
  addSkipped({
    skippedByReason,
    excludedByPattern,
  }: Pick<GenerationSummary, "skippedByReason" | "excludedByPattern">): void {
    this.#unchanged ??= 0;
    for (const [reason, objects] of Object.entries(skippedByReason)) {
      count(this.#skippedByReason, reason, objects);
      this.#listed += objects;
      this.#skipped += objects;
    }
    for (const [pattern, objects] of Object.entries(excludedByPattern))
      count(this.#excludedByPattern, pattern, objects);
  }

  /**
   * Takes the next shard; in ascending order.
   * @param options.isKept whether an earlier generation scored its images
   * @returns the failed rows that no later shard tries again
   * @throws TrommelError `corrupt` where the shard does not balance, lists what another did, or is out of order
   */
  add(shard: Shard, outcome: ShardOutcome, { isKept = false } = {}): FailedImage[] {
    if (shard.index <= this.#lastShard)
      throw unbalanced(shard, `it came after shard ${this.#lastShard}`, "Train or score under another name");
    this.#lastShard = shard.index;
    checkOutcome(shard, outcome);
    this.#checkListing(shard);
    const failed = this.#lastTries(shard, outcome.failed);
    this.#shards += 1;
    if (isKept) this.#unchanged = (this.#unchanged ?? 0) + outcome.ok;
    else this.#ok += outcome.ok;
    this.#failed += failed.length;
    this.#superseded += outcome.failed.length - failed.length;
    if (shard.supersedes === undefined) {
      const skipped = shard.skipped.length + this.#countLeftOut(shard.leftOut);
      this.#listed += shard.entries.length + skipped;
      this.#skipped += skipped;
    }
    for (const { reason } of failed) count(this.#failedByReason, reason);
    for (const { reason } of shard.skipped) count(this.#skippedByReason, reason);
    return failed;
  }

  /** What the shards so far come to, of a run that is under way. */
  soFar(): Omit<Ledger, "formatVersion" | "balanced"> {
    return {
      listed: this.#listed,
      ok: this.#ok,
      failed: this.#failed,
      skipped: this.#skipped,
      ...(this.#unchanged === undefined ? {} : { unchanged: this.#unchanged }),
      failedByReason: Object.fromEntries([...this.#failedByReason].sort()),
      skippedByReason: Object.fromEntries([...this.#skippedByReason].sort()),
      ...(this.#excludedByPattern.size === 0
        ? {}
        : { excludedByPattern: Object.fromEntries([...this.#excludedByPattern].sort()) }),
      shards: this.#shards,
    };
  }

  /** @returns how many objects patterns and a sample left out */
  #countLeftOut(leftOut: Shard["leftOut"]): number {
    if (leftOut === undefined) return 0;
    let sum = leftOut.notIncluded;
    if (sum > 0) count(this.#skippedByReason, "not-included", sum);
    const { notSampled = 0 } = leftOut;
    if (notSampled > 0) count(this.#skippedByReason, "not-sampled", notSampled);
    sum += notSampled;
    for (const [pattern, objects] of Object.entries(leftOut.excluded)) {
      count(this.#excludedByPattern, pattern, objects);
      count(this.#skippedByReason, "excluded", objects);
      sum += objects;
    }
    return sum;
  }

  /**
   * @param span what the listing counted, the other side of the balance, and how many shards are current
   * @throws TrommelError `corrupt` where the two sides differ
   */
  ledger(span: Pick<ShardSpan, "listed" | "shards">): Ledger {
    const sums = this.soFar();
    const { listed, ok, failed, skipped, unchanged, shards } = sums;
    if (this.#repeated.size > 0)
      throw unbalancedSum(`${this.#repeated.size} keys may be listed twice, and were not compared`);
    if (shards !== span.shards) throw unbalancedSum(`${span.shards} shards, and ${shards} were counted`);
    if (this.#superseded !== this.#retried.count)
      throw unbalancedSum(
        `${this.#retried.count} rows are tried again, and ${this.#superseded} of them had failed`,
      );
    if (listed !== span.listed || listed !== accountedFor(sums)) {
      const kept = unchanged === undefined ? "" : ` + ${unchanged} unchanged`;
      throw unbalancedSum(
        `${span.listed} listed, but ${ok} ok + ${failed} failed + ${skipped} skipped${kept}`,
      );
    }
    return { formatVersion: 1, balanced: true, ...sums };
  }

  /**
   * Compares the keys whose hashes occur twice; before {@link ledger}.
   * @param shards gives all of the listing's, in order; called only if there are such hashes
   * @throws TrommelError `corrupt` where two keys are equal
   */
  async requireDistinct(shards: () => AsyncIterable<Shard>): Promise<void> {
    if (this.#repeated.size === 0) return;
    const found = await findRepeated(this.#repeated, shards());
    if (found !== undefined) throw listedTwice(found.shard, found.key);
    this.#repeated.clear();
  }

  #noteKeys({ entries, skipped }: Shard): void {
    for (const { key } of [...entries, ...skipped]) {
      const known = this.#keys.add(key);
      if (known !== undefined) this.#repeated.add(known);
    }
  }

  /** The order of keys is strict, so a key that is greater than all before it was not listed before. */
  #checkListing(shard: Shard): void {
    if (shard.supersedes !== undefined) return;
    if (shard.anyOrder === true) {
      this.#noteKeys(shard);
      return;
    }
    const entries = shard.entries.map(({ key }) => key);
    const skipped = shard.skipped.map(({ key }) => key);
    for (const keys of [entries, skipped]) {
      const first = keys[0];
      const late =
        first !== undefined && this.#lastKey !== undefined && compareUtf8(this.#lastKey, first) >= 0;
      const at = late ? 0 : keys.findIndex((key, i) => i > 0 && compareUtf8(keys[i - 1] ?? "", key) >= 0);
      if (at >= 0) throw listedTwice(shard, keys[at] ?? "");
    }
    const both = new Set(entries);
    const twice = skipped.find((key) => both.has(key));
    if (twice !== undefined) throw listedTwice(shard, twice);
    for (const last of [entries.at(-1), skipped.at(-1)]) {
      if (last !== undefined && (this.#lastKey === undefined || compareUtf8(this.#lastKey, last) < 0))
        this.#lastKey = last;
    }
  }

  #lastTries(shard: Shard, failed: readonly FailedImage[]): FailedImage[] {
    const again = this.#retried.ofShard(shard.index);
    if (again.size === 0) return [...failed];
    const keys = new Map(failed.map((row) => [row.position, row.key]));
    for (const [position, next] of again) {
      if (keys.get(position) === next.key) continue;
      throw unbalanced(
        shard,
        `shard ${next.shard} tries its row ${position} again as ${JSON.stringify(next.key)}, which did not fail`,
        "Try again under another name",
      );
    }
    return failed.filter(({ position }) => !again.has(position));
  }
}

/**
 * Holds a shard's outcome against the shard.
 * @throws TrommelError `corrupt` where failed rows are not distinct rows of the shard in ascending order, have another key, or
 *   with those that are ok are not all of them; or where the shard's hash is not that of its entries
 */
export function checkOutcome(shard: Shard, { ok, failed }: ShardOutcome): void {
  const again = "Remove its marker and resume";
  if (shardHash(shard.entries, shard.supersedes) !== shard.hash)
    throw unbalanced(
      shard,
      "its entries are not those that its hash was made of",
      "Train or score under another name",
    );
  if (ok + failed.length !== shard.entries.length)
    throw unbalanced(shard, `${shard.entries.length} files, but ${ok} ok and ${failed.length} failed`, again);
  for (const [i, { position, key }] of failed.entries()) {
    if (position <= (failed[i - 1]?.position ?? -1))
      throw unbalanced(shard, `row ${position} failed twice or out of order`, again);
    if (shard.entries[position]?.key !== key)
      throw unbalanced(
        shard,
        `row ${position} failed as ${JSON.stringify(key)}, which is not its key`,
        again,
      );
  }
}

/** Keys of a shard's rows that did not fail, in order. */
export function okKeys(shard: Shard, failed: readonly FailedImage[]): string[] {
  const without = new Set(failed.map(({ position }) => position));
  return shard.entries.flatMap(({ key }, position) => (without.has(position) ? [] : [key]));
}

/** Lines of `errors.jsonl`: of the failed rows of a shard that no later one tries again, in order. */
export function errorLines(shard: Shard, failed: readonly FailedImage[]): string {
  const lines = failed.map(({ position: _, ...row }): ErrorLine => ({ ...row, shard: shard.index }));
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

function count(counts: Map<string, number>, reason: string, by = 1): void {
  counts.set(reason, (counts.get(reason) ?? 0) + by);
}

function listedTwice(shard: Shard, key: string): TrommelError {
  return unbalanced(
    shard,
    `${JSON.stringify(key)} is listed twice or out of order`,
    "Train or score under another name",
  );
}

function unbalanced(shard: Shard, why: string, remedy: string): TrommelError {
  return new TrommelError("corrupt", `cannot balance shard ${shard.index}: ${why}. ${remedy}`, {
    context: { shard: shard.index },
  });
}

function unbalancedSum(why: string): TrommelError {
  return new TrommelError("corrupt", `cannot balance the ledger: ${why}. Resume it`);
}
