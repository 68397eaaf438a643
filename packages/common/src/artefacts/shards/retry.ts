import { z } from "zod";
import { parseSealedAs } from "../../codec/sealed-json.js";
import { TrommelError } from "../../errors.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readIfThere } from "../../store/read-if-there.js";
import { failureReason, type FailureReason } from "./failure-reason.js";
import { listingSummary, type GenerationSummary } from "./listing.js";
import type { ScoringGeneration } from "../generations/scoring-generation.js";

/** Trying the failed files of a scoring again, in place: new shards behind those that are there. */

/** Reasons whose files are tried again, in the order of the closed list; null for all of them. */
export const retryReasons = z.array(failureReason).min(1).nullable();
export type RetryReasons = z.infer<typeof retryReasons>;

/** `retries/<n>.json`: what was asked for. With it the scoring is unfinished until it is closed again. */
export const retryRequest = z
  .object({
    formatVersion: z.literal(1),
    index: z.int().nonnegative(),
    /** Its first shard. All before it were scored when it was asked for. */
    firstShard: z.int().positive(),
    reasons: retryReasons,
  })
  .strict();
export type RetryRequest = z.infer<typeof retryRequest>;

/** `retries/<n>-listing.json`: written when every shard of the retry is in place. */
const retryListing = z
  .object({ formatVersion: z.literal(1), shards: z.int().nonnegative(), images: z.int().nonnegative() })
  .strict();
type RetryListing = z.infer<typeof retryListing>;

export interface ScoringRetry {
  readonly request: RetryRequest;
  /** Undefined while it is being planned. */
  readonly listing: RetryListing | undefined;
}

/** The retries of a generation in order. */
export async function readRetries(store: ObjectStore, { keys }: ScoringGeneration): Promise<ScoringRetry[]> {
  const retries: ScoringRetry[] = [];
  for (;;) {
    const key = keys.retry(retries.length);
    const request = await readIfThere(store, key);
    if (request === undefined) return retries;
    const listingKey = keys.retryListing(retries.length);
    const listing = await readIfThere(store, listingKey);
    retries.push({
      request: parseSealedAs(retryRequest, request, key),
      listing: listing === undefined ? undefined : parseSealedAs(retryListing, listing, listingKey),
    });
  }
}

/** The shards of a run or scoring. Those from `retriedFrom` on try failed files of earlier ones again. */
export interface ShardSpan {
  readonly retriedFrom: number;
  readonly shards: number;
  /** Files of the prefix, each of them once. */
  readonly listed: number;
}

/** The shards of a generation of a scoring. */
export interface ScoringSpan extends ShardSpan {
  readonly generation: ScoringGeneration;
  readonly retries: number;
  /** What a later generation found; undefined in the first. */
  readonly found: GenerationSummary | undefined;
}

/**
 * The shards of a generation, retries and all.
 * @throws TrommelError `missing-input` while the source is listed or a retry is planned
 */
export async function readScoringSpan(
  store: ObjectStore,
  generation: ScoringGeneration,
): Promise<ScoringSpan> {
  const { keys } = generation;
  const body = await readIfThere(store, keys.listing);
  if (body === undefined) throw unplanned(keys.listing);
  const summary = parseSealedAs(listingSummary, body, keys.listing);
  const retries = await readRetries(store, generation);
  let { shards } = summary;
  for (const { request, listing } of retries) {
    if (listing === undefined) throw unplanned(keys.retryListing(request.index));
    if (request.firstShard !== shards) {
      throw new TrommelError(
        "corrupt",
        `cannot read ${keys.retry(request.index)}: it begins at shard ${request.firstShard}, and ${shards} are before it. Score into another --output`,
      );
    }
    shards += listing.shards;
  }
  return {
    generation,
    retriedFrom: summary.shards,
    shards,
    listed: summary.listed,
    retries: retries.length,
    found: summary.generation,
  };
}

/** The shards of a span that are current: without those that a later one replaces. */
export function* currentShards({
  shards,
  found,
}: {
  readonly shards: number;
  readonly found?: GenerationSummary | undefined;
}): Generator<number> {
  let next = 0;
  for (const [first, last] of found?.superseded ?? []) {
    for (; next < first; next += 1) yield next;
    next = last + 1;
  }
  for (; next < shards; next += 1) yield next;
}

function unplanned(key: string): TrommelError {
  return new TrommelError(
    "missing-input",
    `cannot read ${key}: the plan that writes it did not finish. Resume the scoring`,
    { context: { key } },
  );
}

/** Whether a retry is for failures of that reason. */
export function isRetried(reasons: RetryReasons, reason: FailureReason): boolean {
  return reasons === null || reasons.includes(reason);
}
