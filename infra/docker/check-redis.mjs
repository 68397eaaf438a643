/**
 * The images' health check: exit code 0 where the Redis of TROMMEL_REDIS_URL answers a PING within five seconds, without
 * which neither coordinator nor worker can do anything; 1 with one line otherwise. That the process itself is alive is
 * the engine's to watch. The address is never printed, for it may hold a password.
 */
import { Redis } from "ioredis";

const timeoutMs = 5_000;
const url = process.env.TROMMEL_REDIS_URL;

if (url === undefined || url === "") {
  console.error("failed to check Redis: TROMMEL_REDIS_URL is not set. Set it to redis://… or rediss://….");
  process.exit(1);
}

const redis = new Redis(url, {
  lazyConnect: true,
  connectTimeout: timeoutMs,
  commandTimeout: timeoutMs,
  retryStrategy: () => null,
});
let lastError;
redis.on("error", (thrown) => (lastError = thrown));
try {
  await redis.connect();
  await redis.ping();
} catch (thrown) {
  console.error(`failed to check Redis: ${(lastError ?? thrown).message}.`);
  process.exitCode = 1;
} finally {
  redis.disconnect();
}
