import { z } from "zod";
import { markerSchema } from "../../codec/marker.js";
import { failureReason } from "./failure-reason.js";
import { countsByPattern } from "./listing.js";

/** The count that must balance: listed = ok + failed + skipped + unchanged. */

export const failedImage = z
  .object({
    /** Position in the shard. */
    position: z.int().nonnegative(),
    key: z.string(),
    reason: failureReason,
    detail: z.string(),
    /** Times that the file was read and decoded for this row; the same whenever it fails for the same reason. */
    tries: z.int().positive(),
  })
  .strict();
export type FailedImage = z.infer<typeof failedImage>;

/** What the marker of a feature shard or a score part says besides hash and size. */
export const shardOutcome = z.object({
  ok: z.int().nonnegative(),
  failed: z.array(failedImage),
});
export type ShardOutcome = z.infer<typeof shardOutcome>;

/** The marker of a feature shard or a score part, as far as a ledger needs it. */
export const outcomeMarker = markerSchema.extend(shardOutcome.shape);

export const ledger = z
  .object({
    formatVersion: z.literal(1),
    listed: z.int().nonnegative(),
    ok: z.int().nonnegative(),
    failed: z.int().nonnegative(),
    skipped: z.int().nonnegative(),
    /** Images whose score an earlier generation wrote; absent in the first one and in runs. Those that failed are in `failed`. */
    unchanged: z.int().nonnegative().optional(),
    balanced: z.boolean(),
    failedByReason: z.record(z.string(), z.int().positive()),
    skippedByReason: z.record(z.string(), z.int().positive()),
    /** Keys that each pattern of `exclude` left out; absent if none did. */
    excludedByPattern: countsByPattern.optional(),
    /** Those that try failed files again are among them. */
    shards: z.int().nonnegative(),
  })
  .strict()
  .refine((found) => found.balanced && found.listed === accountedFor(found), {
    error: "it does not balance: listed = ok + failed + skipped + unchanged must hold",
  })
  .refine(
    (found) => sumOf(found.failedByReason) === found.failed && sumOf(found.skippedByReason) === found.skipped,
    { error: "its reasons do not add up to its counts" },
  )
  .refine(
    ({ skippedByReason, excludedByPattern = {} }) =>
      sumOf(excludedByPattern) === (skippedByReason["excluded"] ?? 0),
    { error: "its patterns do not add up to what was excluded" },
  );
export type Ledger = z.infer<typeof ledger>;

interface BalancedCounts {
  readonly ok: number;
  readonly failed: number;
  readonly skipped: number;
  readonly unchanged?: number | undefined;
}

/** The other side of the balance. */
export function accountedFor(counts: BalancedCounts): number {
  return counts.ok + counts.failed + counts.skipped + (counts.unchanged ?? 0);
}

/** Images that have a score. */
export function scoredImages({ ok, unchanged = 0 }: Pick<BalancedCounts, "ok" | "unchanged">): number {
  return ok + unchanged;
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** A line of `errors.jsonl`. */
export const errorLine = z
  .object({
    key: z.string(),
    reason: failureReason,
    detail: z.string(),
    tries: z.int().positive(),
    shard: z.int().nonnegative(),
  })
  .strict();
export type ErrorLine = z.infer<typeof errorLine>;
