import {
  canonicalJson,
  TrommelError,
  type ErrorLine,
  type FailedRow,
  type Ledger,
  type ObjectStore,
  type Shard,
} from "@trommel/common";

/** Adds up shards into the ledger that must balance, and the lines of `errors.jsonl`. */
export class LedgerBuilder {
  readonly #failedByReason = new Map<string, number>();
  readonly #skippedByReason = new Map<string, number>();
  readonly #errors: ErrorLine[] = [];
  #listed = 0;
  #ok = 0;
  #failed = 0;
  #skipped = 0;
  #shards = 0;

  /** @throws TrommelError `corrupt` where a shard alone does not balance */
  add(shard: Shard, ok: number, failed: readonly FailedRow[]): void {
    if (ok + failed.length !== shard.entries.length) {
      throw new TrommelError(
        "corrupt",
        `failed to balance shard ${shard.index}: ${shard.entries.length} files, but ${ok} ok and ${failed.length} failed. Remove its marker and resume`,
        { context: { shard: shard.index } },
      );
    }
    this.#shards += 1;
    this.#listed += shard.entries.length + shard.skipped.length;
    this.#ok += ok;
    this.#failed += failed.length;
    this.#skipped += shard.skipped.length;
    for (const { key, reason, detail, tries } of failed) {
      count(this.#failedByReason, reason);
      this.#errors.push({ key, reason, detail, tries, shard: shard.index });
    }
    for (const { reason } of shard.skipped) count(this.#skippedByReason, reason);
  }

  /** @param listed what the listing counted, the other side of the balance */
  ledger(listed: number): Ledger {
    const balanced = listed === this.#listed && listed === this.#ok + this.#failed + this.#skipped;
    if (!balanced) {
      throw new TrommelError(
        "corrupt",
        `failed to balance the ledger: ${listed} listed, but ${this.#ok} ok + ${this.#failed} failed + ${this.#skipped} skipped. Resume the run`,
      );
    }
    return {
      formatVersion: 1,
      listed,
      ok: this.#ok,
      failed: this.#failed,
      skipped: this.#skipped,
      balanced,
      failedByReason: Object.fromEntries([...this.#failedByReason].sort()),
      skippedByReason: Object.fromEntries([...this.#skippedByReason].sort()),
      shards: this.#shards,
    };
  }

  errorLines(): Uint8Array {
    return Buffer.from(this.#errors.map((line) => `${JSON.stringify(line)}\n`).join(""), "utf8");
  }
}

function count(counts: Map<string, number>, reason: string): void {
  counts.set(reason, (counts.get(reason) ?? 0) + 1);
}

export async function putJson(store: ObjectStore, key: string, value: unknown): Promise<void> {
  await store.put(key, jsonBytes(value), { contentType: "application/json" });
}

/** Equal values give equal bytes. */
export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(`${canonicalJson(value)}\n`, "utf8");
}
