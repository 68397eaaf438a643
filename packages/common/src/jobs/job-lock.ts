import type { Redis } from "ioredis";
import { queueOf } from "./pipeline.js";
import { jobId, jobKey, queuePrefix, type JobPayload } from "./queues.js";

/** What BullMQ keeps in Redis about a job, for questions that its classes answer only with a queue of their own. */

/** False if the lock has expired: another worker has the job, or will have it. */
export async function holdsLock(
  redis: Redis,
  payload: JobPayload,
  token: string | undefined,
): Promise<boolean> {
  return token !== undefined && (await redis.get(`${jobKey(payload)}:lock`)) === token;
}

/** How many jobs of the same run and queue were begun before this one and are under way: the newest are first in BullMQ's list. */
export async function jobsAhead(redis: Redis, payload: JobPayload): Promise<number> {
  const active = await redis.lrange(`${queuePrefix}:${queueOf(payload.stage)}:active`, 0, -1);
  const own = active.indexOf(jobId(payload));
  return active.slice(own + 1).filter((id) => isJobOf(payload.id, id)).length;
}

/** Ids of runs may have dots: what follows has to be an attempt, a stage, and a unit if there is one. */
function isJobOf(run: string, id: string): boolean {
  return id.startsWith(`${run}.`) && /^\d+\.[a-z-]+(?:\.\d+)?$/.test(id.slice(run.length + 1));
}

/** Whether Redis has the job. One that is done or has failed is removed, unless it is a root. */
export async function isQueued(redis: Redis, payload: JobPayload): Promise<boolean> {
  return (await redis.exists(jobKey(payload))) === 1;
}
