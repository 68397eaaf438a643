import {
  runKeys,
  TrommelError,
  type ErrorLine,
  type Ledger,
  type ObjectStore,
  type Shard,
  type SkipReason,
} from "@trommel/common";
import { findListing, LedgerBuilder, RetriedImages, sortedKeys } from "@trommel/common/artefacts";
import { locationOf, range, readAhead } from "@trommel/common/store";
import { readErrorLines, type KeepsImage } from "./error-lines.js";
import { readResult } from "./result.js";
import type { Subject } from "./subject.js";
import { ShardOutcomes, shardsReadAtOnce } from "../retry/shard-outcomes.js";

export interface SkippedKey {
  readonly key: string;
  readonly reason: SkipReason;
}

/** The failed and the skipped images of a run or scoring. */
export interface FailedImages {
  readonly complete: boolean;
  /** Sums over all shards if it is complete, otherwise over those that are done. */
  readonly sums: Omit<Ledger, "formatVersion" | "balanced">;
  /** Those that were asked for, in the order of the listing. */
  readonly failed: readonly ErrorLine[];
  /** The first few for each reason. */
  readonly skipped: readonly SkippedKey[];
  /** Location of the file of all failed images, once it is complete. */
  readonly errors: string;
}

/**
 * The failed images of a run or scoring: from its `errors.jsonl` if it is complete, otherwise from the markers so far.
 * @param skippedAtMost keys that are kept for each reason
 * @param keeps which of the failed images are kept; the others take no memory
 * @throws TrommelError `missing-input` for a run whose dataset's pixels are still being measured; `corrupt` if
 *   `errors.jsonl` does not have one line for each image that the ledger counts as failed; `invalid-argument` for a sorting
 */
export async function readFailedImages(
  store: ObjectStore,
  subject: Subject,
  skippedAtMost: number,
  keeps: KeepsImage = () => true,
): Promise<FailedImages> {
  if (subject.kind === "sorting") {
    const list = locationOf(subject.config.into, sortedKeys(subject.id).unplaced);
    throw new TrommelError(
      "invalid-argument",
      `cannot list the failed files of ${subject.id}: it is a sorting. Read ${list}, which names the pictures that it did not place`,
    );
  }
  const result = await readResult(store, subject);
  const outcomes = await ShardOutcomes.open(store, subject);
  try {
    const { generation } = outcomes;
    const errorsKey = generation?.output.failedImages ?? runKeys(subject.id).failedImages;
    const errors = locationOf(subject.kind === "run" ? store.url : subject.config.output, errorsKey);
    if (result === undefined) return await fromMarkers(outcomes, { skippedAtMost, keeps, errors });
    const { ledger } = result;
    const skipped = new SkippedKeys(skippedAtMost, ledger.skippedByReason);
    const later = generation && (await findListing(store, generation.keys.listing))?.generation;
    // Shards of a later generation do not name what was skipped.
    if (later !== undefined) skipped.add({ skipped: later.skippedKeys });
    else for await (const shard of shardsOf(outcomes, skipped)) skipped.add(shard);
    const failed =
      ledger.failed === 0
        ? []
        : await readErrorLines(store, subject, { key: errorsKey, count: ledger.failed, keeps });
    return {
      complete: true,
      sums: ledger,
      failed,
      skipped: skipped.keys,
      errors,
    };
  } finally {
    outcomes.close();
  }
}

async function* shardsOf(outcomes: ShardOutcomes, skipped: SkippedKeys): AsyncGenerator<Shard> {
  if (skipped.isFull) return;
  for await (const shard of readAhead(range(0), shardsReadAtOnce, (index) => outcomes.findShard(index))) {
    if (shard === undefined) return;
    yield shard;
    if (skipped.isFull) return;
  }
}

async function fromMarkers(
  outcomes: ShardOutcomes,
  options: { readonly skippedAtMost: number; readonly keeps: KeepsImage; readonly errors: string },
): Promise<FailedImages> {
  const { skippedAtMost, keeps, errors } = options;
  const retried = await retriedSoFar(outcomes);
  const { firstOwn } = outcomes;
  const builder = new LedgerBuilder(retried);
  const skipped = new SkippedKeys(skippedAtMost);
  const failed: ErrorLine[] = [];
  // The sums need every shard, even if no more of its images are kept.
  let isEnough = false;
  // In a later generation, what it has made so far.
  for await (const done of readAhead(range(firstOwn), shardsReadAtOnce, async (index) => {
    const shard = await outcomes.findShard(index);
    return shard === undefined ? undefined : { shard, outcome: await outcomes.findOutcome(shard) };
  })) {
    if (done === undefined) break;
    const { shard, outcome } = done;
    if (outcome === undefined) continue;
    skipped.add(shard);
    for (const { position: _, ...image } of builder.add(shard, outcome)) {
      if (isEnough) break;
      const line = { ...image, shard: shard.index };
      const kept = keeps(line);
      isEnough = kept === "enough";
      if (kept === true) failed.push(line);
    }
  }
  return { complete: false, sums: builder.soFar(), failed, skipped: skipped.keys, errors };
}

/** Shards that retry images come after all others, and are few. */
async function retriedSoFar(outcomes: ShardOutcomes): Promise<RetriedImages> {
  const retried = new RetriedImages();
  const all = range(outcomes.firstOwn);
  for await (const shard of readAhead(all, shardsReadAtOnce, (index) => outcomes.findShard(index))) {
    if (shard === undefined) break;
    const outcome = shard.supersedes === undefined ? undefined : await outcomes.findOutcome(shard);
    if (outcome !== undefined) retried.add(shard, outcome.failed);
  }
  return retried;
}

/** The first skipped keys for each reason. */
class SkippedKeys {
  readonly keys: SkippedKey[] = [];
  readonly #counts = new Map<string, number>();
  readonly #atMost: number;
  readonly #byReason: Readonly<Record<string, number>> | undefined;

  /** @param byReason how many there are, if that is known */
  constructor(atMost: number, byReason?: Readonly<Record<string, number>>) {
    this.#atMost = atMost;
    this.#byReason = byReason;
  }

  add({ skipped }: Pick<Shard, "skipped">): void {
    for (const { key, reason } of skipped) {
      const count = this.#counts.get(reason) ?? 0;
      this.#counts.set(reason, count + 1);
      if (count < this.#atMost) this.keys.push({ key, reason });
    }
  }

  /** Whether no further shard can add anything. */
  get isFull(): boolean {
    if (this.#byReason === undefined) return false;
    return Object.entries(this.#byReason).every(
      ([reason, files]) => (this.#counts.get(reason) ?? 0) >= Math.min(files, this.#atMost),
    );
  }
}
