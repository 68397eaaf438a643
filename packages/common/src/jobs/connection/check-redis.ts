import { randomUUID } from "node:crypto";
import { Redis, type RedisOptions } from "ioredis";
import { TrommelError, messageOf } from "../../errors.js";
import { withTimeout } from "../../waiting/with-timeout.js";
import { namespace } from "../queues.js";
import { isMissing, isMissingRight, whyNotThisServer } from "./redis-answers.js";
import { readInfo, whyNotThisKind } from "./redis-info.js";
import { categoriesNeeded, keysNeeded, probesOf } from "./redis-needs.js";
import { describeRedis, parseRedisUrl } from "./redis-url.js";

/** More missing commands than this are granted by category. */
const namedAtMost = 8;

/**
 * Checks once that Redis answers, accepts the login, and does all that the queues and we need: the commands, scripts and
 * keys, the database, no eviction, neither a replica nor a cluster. It tries the commands on keys of its own, which it removes.
 * @throws TrommelError naming the address without its password, and what is missing: `unavailable` if it does not answer
 *   or not now; `forbidden` for login and rights; `invalid-argument` for the database; `unsupported` for what it is
 */
export async function checkRedis(url: string, timeoutMs = 5000): Promise<void> {
  checkNamespace(namespace);
  const options = parseRedisUrl(url);
  const { db: database = 0, ...server } = options;
  const redis = new Redis({
    ...server,
    lazyConnect: true,
    // INFO is read here, so that a user without that right gets a message.
    enableReadyCheck: false,
    connectTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let lastError: unknown;
  redis.on("error", (error) => (lastError = error));
  const limit = { timeoutMs, doing: "reach Redis" };
  try {
    await withTimeout(limit, redis.connect());
    await withTimeout(limit, checkServer(redis, { url, user: userOf(options), database }));
  } catch (thrown) {
    if (thrown instanceof TrommelError && thrown.code !== "timed-out") throw thrown;
    throw unreachable(url, lastError ?? thrown);
  } finally {
    redis.disconnect();
  }
}

/** @throws TrommelError `invalid-argument` */
function checkNamespace(name: string): void {
  if (/^([a-z0-9][a-z0-9-]{0,39})?$/.test(name)) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot use the namespace '${name.slice(0, 60)}': it may have up to 40 small letters, digits and hyphens. Set TROMMEL_NAMESPACE to such a name, or unset it`,
  );
}

interface Place {
  readonly url: string;
  readonly user: string;
  readonly database: number;
}

async function checkServer(redis: Redis, place: Place): Promise<void> {
  const info = await readInfo(redis);
  const kind = info instanceof Map ? whyNotThisKind(info) : undefined;
  if (kind !== undefined) throw unusable(place.url, kind);
  if (info instanceof Error && !isMissingRight(info.message) && !isMissing(info.message)) throw info;
  if (place.database !== 0) await selectDatabase(redis, place);
  await tryCommands(redis, place, info instanceof Error ? ["INFO"] : []);
}

async function selectDatabase(redis: Redis, { url, user, database }: Place): Promise<void> {
  try {
    await redis.select(database);
  } catch (thrown) {
    const reason = messageOf(thrown);
    const kind = whyNotThisServer(reason);
    if (kind !== undefined) throw unusable(url, kind);
    if (isMissingRight(reason)) throw withoutRights(url, user, ["SELECT"], false);
    throw new TrommelError(
      "invalid-argument",
      `cannot use database ${database} of Redis at ${describeRedis(url)}: ${reason}. Name one that it has (redis://host:port/0), or raise its 'databases'`,
    );
  }
}

/** Sends every probe at once and reads all answers, so that one line names all that is missing. */
async function tryCommands(redis: Redis, { url, user }: Place, refused: readonly string[]): Promise<void> {
  const probes = probesOf(randomUUID());
  const answers = await Promise.allSettled(
    probes.map(([command, ...values]) => redis.call(command, ...values)),
  );
  const missing = new Set(refused);
  const unknown = new Set<string>();
  let withoutKeys = false;
  for (const [position, answer] of answers.entries()) {
    if (answer.status === "fulfilled") continue;
    const reason = messageOf(answer.reason);
    const kind = whyNotThisServer(reason);
    if (kind !== undefined) throw unusable(url, kind);
    const right = isMissingRight(reason);
    const [name = ""] = probes[position] ?? [];
    if (right === "command") missing.add(name);
    else if (right === "key") withoutKeys = true;
    else if (isMissing(reason)) unknown.add(name);
    else if (isPassing(reason)) throw unreachable(url, answer.reason);
  }
  if (unknown.size > 0) {
    throw unusable(url, `it has no ${listed(unknown)}. Use Redis 6.2 or later with all of its commands`);
  }
  if (missing.size > 0 || withoutKeys) throw withoutRights(url, user, [...missing], withoutKeys);
}

/** Answers of a server that is about to be ready. A full one still serves what is queued. */
function isPassing(reason: string): boolean {
  return /^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF)\b/.test(reason);
}

function withoutRights(
  url: string,
  user: string,
  commands: readonly string[],
  withoutKeys: boolean,
): TrommelError {
  const may: string[] = [];
  if (commands.length > 0) may.push(`run ${listed(commands)}`);
  if (withoutKeys) may.push(`use the keys ${keysNeeded}`);
  const grants =
    commands.length > namedAtMost
      ? [categoriesNeeded]
      : commands.map((command) => `+${command.toLowerCase()}`);
  if (withoutKeys) grants.push(`~${keysNeeded}`);
  return new TrommelError(
    "forbidden",
    `cannot use Redis at ${describeRedis(url)}: its user '${user}' may not ${may.join(" and ")}. Grant it: ACL SETUSER ${user} ${grants.join(" ")}`,
    { context: { address: describeRedis(url), commands: [...commands] } },
  );
}

function listed(names: Iterable<string>): string {
  const all = [...names];
  const more = all.length - namedAtMost;
  return all.slice(0, namedAtMost).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function userOf({ username }: RedisOptions): string {
  return username ?? "default";
}

function unusable(url: string, reason: string): TrommelError {
  return new TrommelError("unsupported", `cannot use Redis at ${describeRedis(url)}: ${reason}`, {
    context: { address: describeRedis(url) },
  });
}

function unreachable(url: string, cause: unknown): TrommelError {
  const address = describeRedis(url);
  const reason = messageOf(cause);
  if (/NOAUTH|WRONGPASS|NOPERM|AUTH/.test(reason)) {
    return new TrommelError(
      "forbidden",
      `cannot enter Redis at ${address}: ${reason.replace(/\.+$/, "")}. Check user and password in --redis or TROMMEL_REDIS_URL`,
      { context: { address } },
    );
  }
  return new TrommelError(
    "unavailable",
    `cannot reach Redis at ${address}: ${reason}. Start it, correct --redis or TROMMEL_REDIS_URL, or leave both out for an embedded one`,
    { context: { address }, retryable: false },
  );
}
