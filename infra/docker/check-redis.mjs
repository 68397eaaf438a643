/**
 * The images' health check: exit code 0 if the Redis of TROMMEL_REDIS_URL answers a PING within five seconds, 1 with one
 * line otherwise. Without Redis neither the coordinator nor a worker can do anything. The container engine watches the
 * process itself. The address may contain a password, so it is never printed.
 */
import { Redis } from "ioredis";

const timeoutMs = 5_000;
const url = process.env.TROMMEL_REDIS_URL;

if (url === undefined || url === "") {
  console.error("cannot check Redis: TROMMEL_REDIS_URL is not set. Set it to redis://… or rediss://…");
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
  console.error(`cannot check Redis: ${(lastError ?? thrown).message}`);
  process.exitCode = 1;
} finally {
  redis.disconnect();
}
