import type { SkipReason } from "@trommel/common";
import type { Skip } from "../listing/key-filter.js";
import { countExcluded } from "../listing/listing-totals.js";

/** Keys that are named for each reason. */
const namedAtMost = 20;

/** Counts what a listing skips, and names the first of each reason. */
export class SkippedSums {
  readonly byReason: Record<string, number> = {};
  readonly excluded: Record<string, number> = {};
  readonly keys: { key: string; reason: SkipReason }[] = [];

  add(key: string, skip: Skip): void {
    const { reason } = skip;
    const before = this.byReason[reason] ?? 0;
    this.byReason[reason] = before + 1;
    if (skip.reason === "excluded") countExcluded(this.excluded, skip.pattern, 1);
    else if (reason !== "not-included" && reason !== "not-sampled" && before < namedAtMost)
      this.keys.push({ key, reason });
  }
}
