import type { Redis } from "ioredis";
import { isRedisFull } from "../../errors.js";
import { doneUnitsKey } from "../live-run.js";
import { queueOf, type QueueName } from "../pipeline.js";
import { jobId, jobKey, queuePrefix, unitOf, type JobPayload } from "../queues.js";

/**
 * Shares of a queue by start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996): each job gets a start
 * tag, the later of the queue's virtual time and of the tag at which its run's last job ends, and BullMQ takes the least tag first, as
 * its priority. The virtual time is the largest tag of a job that has been begun, and at least one more with each job: a job waits for no more jobs
 * than its tag is ahead, whatever comes meanwhile. So a run that comes later begins at once, next to
 * those that have queued thousands of jobs, and none waits for longer than its share.
 *
 * Tags only grow. A priority is a tag less the queue's origin, which moves up to the virtual time when that is far ahead of it. Priorities
 * of jobs that were queued by an earlier origin are then too large, and can be computed again at any time, because each job's tag is kept:
 * each coordinator that queues jobs does so first, until one of them has moved all of them.
 *
 * Keys, for queue q: `trommel:fair:q` (hash: `now`, `origin`, `unmoved` while priorities by an earlier origin may exist, and
 * `f:<id>` for each run with jobs ahead of it) and `trommel:fair:q:tags` (sorted set: jobs by tag). Losing them costs fairness
 * for as long as jobs with old tags wait, and nothing else.
 */

/** How much of the queue a job of each priority takes: shares are 16 to 4 to 1. */
export const costs = { high: 4, normal: 16, low: 64 } as const;
export const priorities = ["low", "normal", "high"] as const;
export type Priority = (typeof priorities)[number];

/** BullMQ takes priorities up to 2^21; the origin moves once the virtual time is so far ahead of it. */
const originBehindAtMost = 2 ** 20;
const priorityAtMost = 2 ** 21;
/** The least priority. BullMQ takes jobs without one before all others. */
const first = 1;
/** How far behind the virtual time tags are kept. All tags that are reserved at once lie within it. */
const keptBehind = 2 ** 15;
/** Runs in the hash above which it is tidied. */
const runsAtMost = 64;

/**
 * Reserves tags, once for each job: one that has a tag keeps it, one that is queued without a tag has had its turn, and one that is done, which
 * a plan queues again when it is repeated, costs nothing. KEYS: fair, tags, done units, the jobs. ARGV: run, cost of a job, runs in the
 * hash above which it is tidied, how far behind tags are kept, how far behind the origin may be, then the id and the unit of each job.
 * @returns origin, whether priorities by an earlier one may exist, how many of the jobs were known, each job's tag less the origin
 */
const reserveTags = `
local now = tonumber(redis.call('HGET', KEYS[1], 'now') or '0')
local origin = tonumber(redis.call('HGET', KEYS[1], 'origin') or '0')
if now - origin >= tonumber(ARGV[5]) then
  origin = now
  redis.call('HSET', KEYS[1], 'origin', origin, 'unmoved', 1)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[4])
local field = 'f:' .. ARGV[1]
local free = math.max(now, tonumber(redis.call('HGET', KEYS[1], field) or '0'))
local known = 0
local offsets = {}
for at = 1, #KEYS - 3 do
  local job = ARGV[4 + 2 * at]
  local tag = redis.call('ZSCORE', KEYS[2], job)
  if tag then
    tag = tonumber(tag)
    known = known + 1
  else
    tag = free
    if redis.call('EXISTS', KEYS[3 + at]) == 1 then
      known = known + 1
    else
      redis.call('ZADD', KEYS[2], tag, job)
      if redis.call('SISMEMBER', KEYS[3], ARGV[5 + 2 * at]) == 0 then free = free + ARGV[2] end
    end
  end
  offsets[at] = tag - origin
end
redis.call('HSET', KEYS[1], field, free)
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'f:' and tonumber(all[i + 1]) <= now then redis.call('HDEL', KEYS[1], all[i]) end
  end
end
local unmoved = redis.call('HEXISTS', KEYS[1], 'unmoved')
return {origin, unmoved, known, offsets}`;

/** KEYS: fair, tags. ARGV: a job that begins. One without a tag has no share, or had its turn long ago. */
const advanceTime = `
local tag = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not tag then return 0 end
local now = tonumber(redis.call('HGET', KEYS[1], 'now') or '0')
redis.call('HSET', KEYS[1], 'now', math.max(now + 1, tonumber(tag)))
return 1`;

/** KEYS: fair, tags. ARGV: jobs. @returns origin, each job's tag less the origin, 0 for one that has had its turn long ago */
const lookUpTags = `
local origin = tonumber(redis.call('HGET', KEYS[1], 'origin') or '0')
local offsets = {}
for at = 1, #ARGV do
  offsets[at] = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[at]) or origin) - origin
end
return {origin, offsets}`;

/** KEYS: fair. ARGV: the origin by which every priority is. */
const endMove = `
if redis.call('HGET', KEYS[1], 'origin') == ARGV[1] then redis.call('HDEL', KEYS[1], 'unmoved') end
return 1`;

/** Places of jobs among those of other runs. */
export interface ReservedShares {
  /** BullMQ's priorities of the jobs, in order. */
  readonly priorities: readonly number[];
  /** What their tags are counted from. */
  readonly origin: number;
  /** Whether some of the jobs had a tag or were queued before: they may have another priority in the queue. */
  readonly someKnown: boolean;
  /** Whether the queue may hold jobs whose priorities are by an earlier origin. */
  readonly mustMove: boolean;
}

/**
 * Reserves the next tags of a run in a queue, one for each of its jobs, however often it is called for the same ones.
 * @param jobs of one stage and attempt, at least one
 * @param cost of one job, see {@link costs}
 */
export async function reserveShares(
  redis: Redis,
  jobs: readonly [JobPayload, ...JobPayload[]],
  cost: number,
): Promise<ReservedShares> {
  const [some] = jobs;
  const keys = [...keysOf(queueOf(some.stage)), doneUnitsKey(some), ...jobs.map(jobKey)];
  const values = jobs.flatMap((job) => [jobId(job), unitOf(job) ?? 0]);
  const limits = [runsAtMost, keptBehind, originBehindAtMost];
  const answer = await redis.eval(reserveTags, keys.length, ...keys, some.id, cost, ...limits, ...values);
  const [origin, unmoved, known, offsets] = answer as [number, number, number, number[]];
  return { priorities: offsets.map(priorityOf), origin, someKnown: known > 0, mustMove: unmoved === 1 };
}

/** A job begins. A full Redis, which still serves what is queued, ends no job. */
export async function beginShare(redis: Redis, job: JobPayload): Promise<void> {
  try {
    await redis.eval(advanceTime, 2, ...keysOf(queueOf(job.stage)), jobId(job));
  } catch (thrown) {
    if (!isRedisFull(thrown)) throw thrown;
  }
}

/** What priorities of a queue are counted from at this moment, and those of jobs that have a share. @param ids of jobs */
export async function readShares(
  redis: Redis,
  queue: QueueName,
  ids: readonly string[],
): Promise<Pick<ReservedShares, "origin" | "priorities">> {
  const answer = await redis.eval(lookUpTags, 2, ...keysOf(queue), ...ids);
  const [origin, offsets] = answer as [number, number[]];
  return { origin, priorities: offsets.map(priorityOf) };
}

/** The priorities of all jobs that wait are by that origin. */
export async function endMoveOfShares(redis: Redis, queue: QueueName, origin: number): Promise<void> {
  await redis.eval(endMove, 1, keysOf(queue)[0], origin);
}

function priorityOf(offset: number): number {
  return Math.min(Math.max(first, first + offset), priorityAtMost);
}

function keysOf(queue: QueueName): readonly [string, string] {
  const key = `${queuePrefix}:fair:${queue}`;
  return [key, `${key}:tags`];
}
