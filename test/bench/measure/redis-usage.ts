import type { Redis } from "ioredis";

/** Commands that a server has done since it started, those of scripts included. */
export async function commandsServed(redis: Redis): Promise<number> {
  const stats = await redis.info("commandstats");
  const calls = [...stats.matchAll(/^cmdstat_[^:]+:calls=(\d+)/gm)];
  return calls.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** What a server says of its memory, in MB: its data, and its process's resident set. */
export async function redisMemoryMb(
  redis: Redis,
): Promise<{ readonly used: number; readonly resident: number }> {
  const memory = await redis.info("memory");
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:(\\d+)`, "m").exec(memory)?.[1] ?? Number.NaN);
  return { used: field("used_memory") / 1e6, resident: field("used_memory_rss") / 1e6 };
}
