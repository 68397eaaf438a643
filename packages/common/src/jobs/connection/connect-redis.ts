import { Redis } from "ioredis";
import { isRedisBusy, isRedisRefusal, type TrommelError } from "../../errors.js";
import { RefusalWatch } from "./refusal-watch.js";
import { parseRedisUrl } from "./redis-url.js";

/** How long a connection that Redis answered with "no" or "not now" waits before it logs in again. */
const refusedPauseMs = 1000;

/**
 * A connection for BullMQ's blocking calls and for ours; it reconnects without end, so callers that must not wait
 * bound their calls with `withTimeout`.
 * @param onRefused called once if Redis answers this connection, or a duplicate of it, and refuses for good: the login, a
 *   right, the database, or as a replica. @default a refusal is only an error of the command that met it
 */
export function connectRedis(url: string, onRefused?: (error: TrommelError) => void): Redis {
  const watch = onRefused === undefined ? undefined : new RefusalWatch(url, onRefused);
  let refusedAtMs = -Infinity;
  const redis = new Redis({
    ...parseRedisUrl(url),
    maxRetriesPerRequest: null,
    connectTimeout: 5000,
    retryStrategy: (times) => {
      if (performance.now() - refusedAtMs < refusedPauseMs) return refusedPauseMs;
      return Math.min(50 * 2 ** Math.min(times, 6), 2000);
    },
    // ioredis asks for every error reply, also of BullMQ's duplicates. A refused connection logs in again, after the pause of
    // a reconnect: without it BullMQ repeats a refused command as fast as Redis answers, and a refused SELECT leaves
    // the connection in database 0.
    reconnectOnError: (error) => {
      const refused = isRedisRefusal(error);
      if (!refused && !isRedisBusy(error)) return false;
      refusedAtMs = performance.now();
      if (refused) watch?.note(error);
      return true;
    },
  });
  // ioredis reports every failed reconnect here; without a listener it prints them itself.
  redis.on("error", () => undefined);
  redis.once("end", () => watch?.end());
  return redis;
}
