import { queuePrefix } from "@trommel/common";
import type { Redis } from "ioredis";

/** Ids of the jobs of a queue that wait for a worker: those without a priority, then those with one. */
export async function waitingJobs(redis: Redis, queue: string): Promise<string[]> {
  const [plain, prioritized] = await Promise.all([
    redis.lrange(`${queuePrefix}:${queue}:wait`, 0, -1),
    redis.zrange(`${queuePrefix}:${queue}:prioritized`, 0, -1),
  ]);
  return [...plain, ...prioritized];
}
