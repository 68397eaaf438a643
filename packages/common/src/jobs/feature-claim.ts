import type { Redis } from "ioredis";
import { isRedisFull } from "../errors.js";
import { queuePrefix } from "./queues.js";

/**
 * Who is making a feature shard just now, so that runs on the same pictures that are under way at once make it once.
 * Only a hint: it lapses by itself, what has been made is known from markers, and one made twice has the same bytes.
 *
 * Key, for a feature shard in a store: `trommel:making:<store> <key>`, the id of the job that makes it.
 */

/** A claim outlives its worker by this at most, as a job's lock does. */
const claimTtlMs = 5000;

/** KEYS: claim. ARGV: job, ttl in ms. @returns 1 where the claim is the job's from now on, or was */
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
  /** Of the store that the feature shard belongs to. */
  readonly storeUrl: string;
  readonly featureKey: string;
  readonly jobId: string;
}

/**
 * Takes a claim or, where the job has it, keeps it for longer; whoever took the job over from a dead worker has it too.
 * @param ttlMs @default {@link claimTtlMs}
 * @returns false where another job has it; true also where Redis is full, for nobody may be kept from working by that
 */
export async function claimFeature(redis: Redis, claim: FeatureClaim, ttlMs = claimTtlMs): Promise<boolean> {
  try {
    return (await redis.eval(takeClaim, 1, keyOf(claim), claim.jobId, ttlMs)) === 1;
  } catch (thrown) {
    if (isRedisFull(thrown)) return true;
    throw thrown;
  }
}

/** Gives a claim up, where the job has it: once the feature shard stands, or another try is to make it. */
export async function releaseFeature(redis: Redis, claim: FeatureClaim): Promise<void> {
  await redis.eval(dropClaim, 1, keyOf(claim), claim.jobId);
}

function keyOf({ storeUrl, featureKey }: FeatureClaim): string {
  return `${queuePrefix}:making:${storeUrl} ${featureKey}`;
}
