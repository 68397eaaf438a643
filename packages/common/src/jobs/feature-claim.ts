import type { Redis } from "ioredis";
import { isRedisFull } from "../errors.js";
import { queuePrefix } from "./queues.js";

/**
 * Which job is computing a feature shard, so that simultaneous runs on the same images compute it once. Only a hint: a claim
 * expires by itself, markers say what has been computed, and a feature shard that is computed twice has the same bytes.
 *
 * Key, for a feature shard in a store: `trommel:making:<store> <key>`, the id of the job that computes it.
 */

/** A claim outlives its worker by at most this, as a job's lock does. */
const claimTtlMs = 5000;

/** KEYS: claim. ARGV: job, ttl in ms. @returns 1 if the job has the claim now */
const takeClaim = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;

/** KEYS: claim. ARGV: job. */
const dropClaim = `
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1`;

export interface FeatureClaim {
  /** URL of the store that the feature shard belongs to. */
  readonly storeUrl: string;
  readonly featureKey: string;
  readonly jobId: string;
}

/**
 * Takes a claim, or extends it if the job already has it. A worker that took the job over from a dead one has the same claim.
 * @param ttlMs @default {@link claimTtlMs}
 * @returns false if another job has it; true also if Redis is full, because a hint must not stop the work
 */
export async function claimFeature(redis: Redis, claim: FeatureClaim, ttlMs = claimTtlMs): Promise<boolean> {
  try {
    return (await redis.eval(takeClaim, 1, keyOf(claim), claim.jobId, ttlMs)) === 1;
  } catch (thrown) {
    if (isRedisFull(thrown)) return true;
    throw thrown;
  }
}

/** Gives the claim up if the job has it: the feature shard exists, or another try will compute it. */
export async function releaseFeature(redis: Redis, claim: FeatureClaim): Promise<void> {
  await redis.eval(dropClaim, 1, keyOf(claim), claim.jobId);
}

function keyOf({ storeUrl, featureKey }: FeatureClaim): string {
  return `${queuePrefix}:making:${storeUrl} ${featureKey}`;
}
