import type { Redis } from "ioredis";
import { queueOf } from "./pipeline.js";
import { jobId, queuePrefix, type JobPayload } from "./queues.js";

/** What BullMQ keeps in Redis about a job, for questions that its classes answer only with a queue of their own. */

function jobKey(payload: JobPayload): string {
  return `${queuePrefix}:${queueOf(payload.stage)}:${jobId(payload)}`;
}

/** False if the lock has expired: another worker has the job, or will have it. */
export async function holdsLock(
  redis: Redis,
  payload: JobPayload,
  token: string | undefined,
): Promise<boolean> {
  return token !== undefined && (await redis.get(`${jobKey(payload)}:lock`)) === token;
}

/** Whether Redis has the job. One that is done or has failed is removed, unless it is a root. */
export async function isQueued(redis: Redis, payload: JobPayload): Promise<boolean> {
  return (await redis.exists(jobKey(payload))) === 1;
}
