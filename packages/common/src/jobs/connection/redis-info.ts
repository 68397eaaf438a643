import { messageOf } from "../../errors.js";
import type { Redis } from "ioredis";
import { cluster, replicaOf } from "./redis-answers.js";

/** What INFO says of a server, by field. */
type RedisInfo = ReadonlyMap<string, string>;

/** The oldest Redis that has every command of the queues. */
const oldest = [6, 2] as const;

/** @returns the error instead where the server refuses INFO */
export async function readInfo(redis: Redis): Promise<RedisInfo | Error> {
  try {
    const lines = (await redis.info()).split(/\r?\n/);
    return new Map(
      lines.flatMap((line) => {
        const colon = line.indexOf(":");
        return colon < 1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const];
      }),
    );
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error(messageOf(thrown));
  }
}

/** Why a server cannot carry jobs, with what to do; undefined if nothing in its INFO is against it. */
export function whyNotThisKind(info: RedisInfo): string | undefined {
  if (info.get("redis_mode") === "sentinel") {
    return "it is a Sentinel, which holds no data. Give the address of the primary that it watches";
  }
  if (info.get("redis_mode") === "cluster" || info.get("cluster_enabled") === "1") return cluster;
  if (info.get("role") === "slave") return replicaOf(primaryOf(info));
  const version = info.get("redis_version") ?? "";
  if (isTooOld(version)) return `it is version ${version}. Use Redis ${oldest.join(".")} or later`;
  const policy = info.get("maxmemory_policy") ?? "noeviction";
  // A managed Redis that does not tell its policy is accepted.
  if (policy === "noeviction" || policy === "") return undefined;
  return `its maxmemory-policy is ${policy}, under which it drops jobs. Set it to noeviction`;
}

function primaryOf(info: RedisInfo): string {
  const host = info.get("master_host") ?? "";
  return host === "" ? "" : `${host}:${info.get("master_port") ?? ""}`;
}

function isTooOld(version: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  if (major === undefined || minor === undefined || Number.isNaN(major + minor)) return false;
  return major < oldest[0] || (major === oldest[0] && minor < oldest[1]);
}
