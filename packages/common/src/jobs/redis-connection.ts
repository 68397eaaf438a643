import { isIP } from "node:net";
import { Redis, type RedisOptions } from "ioredis";
import { TrommelError, messageOf } from "../errors.js";
import { withTimeout } from "../waiting/with-timeout.js";

/**
 * Redis by URL: `redis://user:password@host:port/db`, `rediss://` for TLS, `unix:/path/redis.sock`.
 * Redis carries who does what now and is disposable; what has been done is known from markers alone.
 */

/** The URL without its password, for messages and logs. */
export function describeRedis(url: string): string {
  if (url.startsWith("unix:")) return url;
  try {
    const parsed = new URL(url);
    const user = parsed.username === "" ? "" : `${parsed.username}@`;
    return `${parsed.protocol}//${user}${parsed.host}${parsed.pathname}`;
  } catch {
    return "an unreadable URL";
  }
}

/** @throws TrommelError `invalid-argument`, which never repeats the URL: it may hold a password */
export function parseRedisUrl(url: string): RedisOptions {
  if (url.startsWith("unix:")) return { path: url.slice("unix:".length) };
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw illegalUrl(cause);
  }
  if (parsed.protocol !== "redis:" && parsed.protocol !== "rediss:") throw illegalUrl();
  const database = parsed.pathname.replace(/^\//, "");
  if (!/^\d{0,9}$/.test(database) || parsed.hostname === "") throw illegalUrl();
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ""),
    port: parsed.port === "" ? 6379 : Number(parsed.port),
    ...(parsed.username === "" ? {} : { username: decoded(parsed.username) }),
    ...(parsed.password === "" ? {} : { password: decoded(parsed.password) }),
    ...(database === "" ? {} : { db: Number(database) }),
    ...(parsed.protocol === "rediss:" ? { tls: serverName(parsed.hostname) } : {}),
  };
}

/** TLS names servers by host name only (RFC 6066); an IP address is compared with the certificate all the same. */
function serverName(host: string): { readonly servername?: string } {
  return isIP(host.replace(/^\[|\]$/g, "")) === 0 ? { servername: host } : {};
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw illegalUrl(cause);
  }
}

function illegalUrl(cause?: unknown): TrommelError {
  return new TrommelError(
    "invalid-argument",
    "cannot read the Redis URL: legal forms are redis://[user[:password]@]host[:port][/database], rediss://… and unix:/path. Set --redis or TROMMEL_REDIS_URL",
    { cause },
  );
}

/**
 * A connection for BullMQ's blocking calls and for ours; it reconnects without end, so callers that must not wait
 * bound their calls with {@link withTimeout}.
 */
export function connectRedis(url: string): Redis {
  const redis = new Redis({
    ...parseRedisUrl(url),
    maxRetriesPerRequest: null,
    connectTimeout: 5000,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 2000),
  });
  // ioredis reports every failed reconnect here; without a listener it prints them itself.
  redis.on("error", () => undefined);
  return redis;
}

/**
 * Checks once that Redis answers, accepts the login and does not evict keys.
 * @throws TrommelError `unavailable` or `forbidden`, naming the address without its password
 */
export async function checkRedis(url: string, timeoutMs = 5000): Promise<void> {
  const redis = new Redis({
    ...parseRedisUrl(url),
    lazyConnect: true,
    connectTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let lastError: unknown;
  redis.on("error", (error) => (lastError = error));
  try {
    await withTimeout({ timeoutMs, doing: "reach Redis" }, redis.connect());
    await withTimeout({ timeoutMs, doing: "reach Redis" }, redis.ping());
    await withTimeout({ timeoutMs, doing: "reach Redis" }, checkEviction(redis, url));
  } catch (thrown) {
    if (thrown instanceof TrommelError && thrown.code === "unsupported") throw thrown;
    throw redisFailure(url, lastError ?? thrown);
  } finally {
    redis.disconnect();
  }
}

/** A Redis that evicts keys loses jobs. A managed Redis that does not report its policy is accepted. */
async function checkEviction(redis: Redis, url: string): Promise<void> {
  const answer: unknown = await redis.config("GET", "maxmemory-policy").catch(() => []);
  const policy: unknown = Array.isArray(answer) ? answer[1] : undefined;
  if (typeof policy !== "string" || policy === "noeviction") return;
  throw new TrommelError(
    "unsupported",
    `cannot use Redis at ${describeRedis(url)}: its maxmemory-policy is ${policy}, under which it drops jobs. Set it to noeviction`,
  );
}

function redisFailure(url: string, cause: unknown): TrommelError {
  const address = describeRedis(url);
  const reason = messageOf(cause);
  if (/NOAUTH|WRONGPASS|NOPERM|AUTH/.test(reason)) {
    return new TrommelError(
      "forbidden",
      `cannot enter Redis at ${address}: ${reason}. Check user and password in --redis or TROMMEL_REDIS_URL`,
      { context: { address } },
    );
  }
  return new TrommelError(
    "unavailable",
    `cannot reach Redis at ${address}: ${reason}. Start it, correct --redis or TROMMEL_REDIS_URL, or leave both out for an embedded one`,
    { context: { address }, retryable: false },
  );
}
