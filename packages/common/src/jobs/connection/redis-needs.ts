import { queuePrefix } from "../queues.js";

/**
 * The commands that the queues and we use, each with arguments that do no harm on keys of our own. A test compares the
 * table with the scripts of the installed BullMQ. A Redis user needs each of them, on the keys `trommel:*`, and no channel.
 */

type Probe = readonly [command: string, ...values: (string | number)[]];

/** A script that does nothing. Its hash is the argument of EVALSHA. */
const emptyScript = "return 1";
const emptyScriptSha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";

/** Scripts use keys that they compute, which Dragonfly refuses unless it is started otherwise. */
const undeclaredKeyScript = "return redis.call('EXISTS', KEYS[1] .. ':undeclared')";

/** How long a key of a check lives that was interrupted before it removed its keys. */
const keyTtlMs = 60_000;

/** @param id makes the keys of this check its own */
export function probesOf(id: string): readonly Probe[] {
  const key = (name: string): string => `${queuePrefix}:check:${id}:${name}`;
  const [text, renamed, count] = [key("text"), key("renamed"), key("count")];
  const [hash, list, target, set] = [key("hash"), key("list"), key("target"), key("set")];
  const [sorted, marker, stream] = [key("sorted"), key("marker"), key("stream")];
  const all = [text, renamed, count, hash, list, target, set, sorted, marker, stream];
  return [
    ["PING"],
    ["SET", text, 1, "PX", keyTtlMs],
    ["GET", text],
    ["EXISTS", text],
    ["TYPE", text],
    ["PERSIST", text],
    ["PTTL", text],
    ["RENAME", text, renamed],
    ["INCR", count],
    ["HSET", hash, "a", 1],
    ["HMSET", hash, "b", 2],
    ["HGET", hash, "a"],
    ["HMGET", hash, "a", "b"],
    ["HGETALL", hash],
    ["HEXISTS", hash, "a"],
    ["HINCRBY", hash, "a", 1],
    ["HLEN", hash],
    ["HDEL", hash, "b"],
    ["RPUSH", list, "a", "b", "c", "d"],
    ["LPUSH", list, "e"],
    ["LLEN", list],
    ["LINDEX", list, 0],
    ["LRANGE", list, 0, 1],
    ["LPOS", list, "a"],
    ["LSET", list, 0, "f"],
    ["LREM", list, 1, "b"],
    ["LTRIM", list, 0, 9],
    ["LPOP", list],
    ["RPOP", list],
    ["RPOPLPUSH", list, target],
    ["SADD", set, "a", "b"],
    ["SCARD", set],
    ["SISMEMBER", set, "a"],
    ["SMEMBERS", set],
    ["SREM", set, "a"],
    ["ZADD", sorted, 1, "a", 2, "b", 3, "c"],
    ["ZADD", marker, 1, "a"],
    ["ZCARD", sorted],
    ["ZCOUNT", sorted, 0, 9],
    ["ZSCORE", sorted, "a"],
    ["ZRANGE", sorted, 0, 1],
    ["ZRANGEBYSCORE", sorted, 0, 9],
    ["ZREVRANGE", sorted, 0, 1],
    ["ZREVRANGEBYSCORE", sorted, 9, 0],
    ["ZREM", sorted, "c"],
    ["ZPOPMIN", sorted],
    ["ZREMRANGEBYRANK", sorted, 5, 6],
    ["ZREMRANGEBYSCORE", sorted, 8, 9],
    ["BZPOPMIN", marker, 0.01],
    ["XADD", stream, "*", "a", 1],
    ["XTRIM", stream, "MAXLEN", 10],
    ["EXPIRE", hash, keyTtlMs / 1000],
    ...all.map((each): Probe => ["PEXPIRE", each, keyTtlMs]),
    ["PEXPIREAT", renamed, Date.now() + keyTtlMs],
    // Two keys of two slots, as scripts of flows have them.
    ["EVAL", emptyScript, 2, hash, list],
    ["EVALSHA", emptyScriptSha, 2, hash, list],
    ["EVAL", undeclaredKeyScript, 1, hash],
    ["SCRIPT", "EXISTS", emptyScriptSha],
    ["SCRIPT", "LOAD", emptyScript],
    ["MULTI"],
    ["EXISTS", hash],
    ["EXEC"],
    ["UNLINK", hash, list, target],
    ["DEL", ...all],
  ];
}

/** What grants all of it, without a command that endangers the server. */
export const categoriesNeeded = "+@read +@write +@scripting +@transaction +@connection +info";
export const keysNeeded = `${queuePrefix}:*`;
