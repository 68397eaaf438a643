import type { Redis } from "ioredis";
import { isRedisFull } from "../../errors.js";
import type { QueueName } from "../pipeline.js";
import { queuePrefix } from "../queues.js";

/**
 * Shares of a queue by start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996): each job gets a start
 * tag, the later of the queue's virtual time and of the tag at which its run's last job ends, and BullMQ takes the least tag first, as
 * its priority. The virtual time is the largest tag of a job that has been begun, and at least one more with each job: a job waits for no more jobs
 * than its tag is ahead, whatever comes meanwhile. So a run that comes later begins at once, next to
 * those that have queued thousands of jobs, and none waits for longer than its share.
 *
 * Keys, for queue q: `trommel:fair:q` (hash: `now`, and `f:<id>` for each run with jobs ahead of it). Losing it costs fairness
 * for as long as jobs with old tags wait, and nothing else.
 */

/** How much of the queue a job of each priority takes: shares are 16 to 4 to 1. */
export const costs = { high: 4, normal: 16, low: 64 } as const;
export const priorities = ["low", "normal", "high"] as const;
export type Priority = (typeof priorities)[number];

/** BullMQ takes priorities up to 2^21; from here on tags are counted from a new origin. */
const rebaseFrom = 2 ** 20;
const priorityAtMost = 2 ** 21;
/** The least priority. BullMQ takes jobs without one before all others. */
const first = 1;

/** KEYS: fair. ARGV: run, cost of all its jobs, hash size from which ended runs are removed. @returns the first job's tag */
const reserveTags = `
local now = tonumber(redis.call('HGET', KEYS[1], 'now') or '0')
local field = 'f:' .. ARGV[1]
local start = math.max(now, tonumber(redis.call('HGET', KEYS[1], field) or '0'))
redis.call('HSET', KEYS[1], field, start + ARGV[2])
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if all[i] ~= 'now' and tonumber(all[i + 1]) <= now then redis.call('HDEL', KEYS[1], all[i]) end
  end
end
return start`;

/** KEYS: fair. ARGV: tag of a job that begins. */
const advanceTime = `
local now = tonumber(redis.call('HGET', KEYS[1], 'now') or '0')
redis.call('HSET', KEYS[1], 'now', math.max(now + 1, tonumber(ARGV[1])))
return 1`;

/** KEYS: fair. ARGV: least time. @returns what every tag is less by from now on */
const moveOrigin = `
local now = tonumber(redis.call('HGET', KEYS[1], 'now') or '0')
if now < tonumber(ARGV[1]) then return 0 end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  redis.call('HSET', KEYS[1], all[i], math.max(0, tonumber(all[i + 1]) - now))
end
return now`;

/** Runs in the hash above which it is tidied. */
const runsAtMost = 64;

/**
 * Reserves the next tags of a run in a queue, one for each of so many jobs.
 * @param cost of one job, see {@link costs}
 * @returns BullMQ's priorities of the jobs, in order
 */
export async function reserveShare(
  redis: Redis,
  queue: QueueName,
  id: string,
  { jobs, cost }: { readonly jobs: number; readonly cost: number },
): Promise<number[]> {
  const start = Number(await redis.eval(reserveTags, 1, keyOf(queue), id, jobs * cost, runsAtMost));
  return Array.from({ length: jobs }, (_, job) => Math.min(first + start + job * cost, priorityAtMost));
}

/** A job of that priority begins. One without a priority has no share. A full Redis, which still serves what is queued, ends no job. */
export async function beginShare(
  redis: Redis,
  queue: QueueName,
  priority: number | undefined,
): Promise<void> {
  if (priority === undefined || priority < first) return;
  try {
    await redis.eval(advanceTime, 1, keyOf(queue), priority - first);
  } catch (thrown) {
    if (!isRedisFull(thrown)) throw thrown;
  }
}

/** Whether tags have become so large that {@link rebaseShares} may move them. @param tag one that was just reserved: none is before the time */
export function areSharesFar(tag: number): boolean {
  return tag - first >= rebaseFrom;
}

/**
 * Counts tags from a new origin where they have become large. Jobs that wait are to be moved by as much; until
 * then those that are reserved are before them.
 * @returns what their priorities are less by; 0 where nothing is to be done
 */
export async function rebaseShares(redis: Redis, queue: QueueName, from = rebaseFrom): Promise<number> {
  return Number(await redis.eval(moveOrigin, 1, keyOf(queue), from));
}

function keyOf(queue: QueueName): string {
  return `${queuePrefix}:fair:${queue}`;
}
