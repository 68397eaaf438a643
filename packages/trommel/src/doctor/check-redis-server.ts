import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { messageOf } from "@trommel/common";
import { checkRedis, connectRedis, describeRedis } from "@trommel/common/redis";
import { withTimeout } from "@trommel/common/waiting";
import type { Redis } from "ioredis";
import { bounded, failed, failedBy, ok, skipped, warning, type Finding, type Limits } from "./finding.js";

const run = promisify(execFile);

/** Share of its memory above which the coordinator queues nothing more. */
const fullShare = 0.85;
/** Every job costs some dozen round trips, one after another. */
const slowMs = 20;
const pings = 20;

/** The redis-server that a command without an address starts. */
export function checkEmbeddedRedis(binary: string, limits: Limits): Promise<Finding> {
  return bounded("redis", limits, async () => {
    try {
      const { stdout } = await run(binary, ["--version"], { timeout: limits.timeoutMs });
      // "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=…"
      const version = /\bv=(\S+)/.exec(stdout)?.[1] ?? "of an unknown version";
      return ok("redis", `no address is given: commands start ${binary} ${version}`);
    } catch (thrown) {
      return failed(
        "redis",
        `no address is given, and ${binary} cannot be started: ${messageOf(thrown).split("\n")[0]}`,
        "Give --redis, install redis-server, or name one in TROMMEL_REDIS_SERVER",
      );
    }
  });
}

/** A Redis by its address: rights and kind, as every command checks them, and what they do not look at. */
export async function checkRedisServer(url: string, limits: Limits): Promise<Finding[]> {
  const address = describeRedis(url);
  try {
    await checkRedis(url, limits.timeoutMs);
  } catch (thrown) {
    const { found, advice } = failedBy("redis", thrown);
    const others = ["redis-memory", "redis-persistence", "redis-latency"] as const;
    return [failed("redis", found, advice ?? ""), ...others.map((check) => skipped(check, "see redis"))];
  }
  const redis = connectRedis(url);
  try {
    return [
      ok("redis", `${address} answers, and its user has every right that the queues need`),
      await bounded("redis-memory", limits, () => lookAtMemory(redis)),
      await bounded("redis-persistence", limits, () => lookAtPersistence(redis)),
      await bounded("redis-latency", limits, () => lookAtLatency(redis)),
    ];
  } finally {
    redis.disconnect();
  }
}

async function lookAtMemory(redis: Redis): Promise<Finding> {
  const field = fieldsOf(await redis.info("memory"));
  const [used, most] = [Number(field("used_memory")), Number(field("maxmemory"))];
  const mib = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;
  if (!(most > 0)) return ok("redis-memory", `${mib(used)} used, without a limit of its own`);
  const found = `${mib(used)} of ${mib(most)} used`;
  if (used < fullShare * most) return ok("redis-memory", found);
  return warning(
    "redis-memory",
    `${found}: above ${fullShare * 100} % nothing more is queued until jobs are done`,
    "Raise maxmemory, or lower --outstanding-shards of the coordinator",
  );
}

async function lookAtPersistence(redis: Redis): Promise<Finding> {
  const field = fieldsOf(await redis.info("persistence"));
  const advice = "See Redis' log and its disk; it refuses writes until a save succeeds";
  if (field("rdb_last_bgsave_status") === "err")
    return failed("redis-persistence", "the last snapshot (RDB) failed", advice);
  if (field("aof_enabled") === "1") {
    return field("aof_last_write_status") === "err"
      ? failed("redis-persistence", "the last write of the log (AOF) failed", advice)
      : ok("redis-persistence", "it keeps a log (AOF)");
  }
  const saved = Number(field("rdb_last_save_time"));
  const when = saved > 0 ? new Date(saved * 1000).toISOString() : "never";
  return ok(
    "redis-persistence",
    `snapshots (RDB) at most, the last one ${when}. What it loses with a restart is queued again from the store`,
  );
}

async function lookAtLatency(redis: Redis): Promise<Finding> {
  const times: number[] = [];
  for (let i = 0; i < pings; i += 1) {
    const before = performance.now();
    await redis.ping();
    times.push(performance.now() - before);
  }
  times.sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)] ?? 0;
  const found = `${median.toFixed(2)} ms a round trip (median of ${pings}), ${(times.at(-1) ?? 0).toFixed(2)} at most`;
  if (median <= slowMs) return ok("redis-latency", found);
  return warning("redis-latency", found, "Put Redis and the workers into one network");
}

/** Reads fields of INFO. */
function fieldsOf(info: string): (name: string) => string | undefined {
  return (name) => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1];
}

/** A connection for the time of one look. */
export async function withRedis<T>(
  url: string,
  { timeoutMs }: Limits,
  use: (redis: Redis) => Promise<T>,
): Promise<T> {
  const redis = connectRedis(url);
  try {
    return await withTimeout({ timeoutMs, doing: "ask Redis" }, use(redis));
  } finally {
    redis.disconnect();
  }
}
