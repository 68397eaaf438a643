import { isIP } from "node:net";
import type { RedisOptions } from "ioredis";
import { TrommelError } from "../../errors.js";

/** Redis by URL: `redis://user:password@host:port/db`, `rediss://` for TLS, `unix:/path/redis.sock`. */

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
