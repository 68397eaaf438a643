import type { Device } from "@trommel/common";
import { describeRedis, listMembers } from "@trommel/common/redis";
import { version } from "../version.js";
import { checkCluster } from "./check-cluster.js";
import { checkDisk, checkMemory, checkNode, checkRuntime } from "./check-machine.js";
import { checkEmbeddedRedis, checkRedisServer, withRedis } from "./check-redis-server.js";
import { checkStore } from "./check-store.js";
import { doctorChecks, failedBy, skipped, type Finding, type Limits } from "./finding.js";

/** What `trommel doctor` comes to. */
export interface Diagnosis {
  /** Whether no check failed. */
  readonly healthy: boolean;
  readonly version: string;
  readonly store: string;
  /** Without a password; null where commands start a Redis of their own. */
  readonly redis: string | null;
  /** The machine first, then Redis, the store and the cluster. */
  readonly findings: readonly Finding[];
}

export interface ExamineRequest extends Limits {
  readonly storeUrl: string;
  readonly redis: string | undefined;
  /** The redis-server that a command without an address starts. */
  readonly redisServer: string;
  readonly device: Device;
}

/** Looks at all that a cluster needs, for a bounded time; what is wrong is a finding, and nothing is thrown. */
export async function examine(request: ExamineRequest): Promise<Diagnosis> {
  const { storeUrl, redis, device } = request;
  const groups = await Promise.all([
    checkDisk(storeUrl, request).then((finding) => [finding]),
    checkRuntime(device, request),
    redis === undefined ? checkAlone(request) : checkServed(redis, request),
    checkStore(storeUrl, request),
  ]);
  const findings = [checkNode(), checkMemory(), ...groups.flat()].sort(
    (a, b) => doctorChecks.indexOf(a.check) - doctorChecks.indexOf(b.check),
  );
  return {
    healthy: !findings.some(({ status }) => status === "failed"),
    version,
    store: storeUrl,
    redis: redis === undefined ? null : describeRedis(redis),
    findings,
  };
}

async function checkAlone(request: ExamineRequest): Promise<Finding[]> {
  return [await checkEmbeddedRedis(request.redisServer, request)];
}

async function checkServed(redis: string, request: ExamineRequest): Promise<Finding[]> {
  const findings = await checkRedisServer(redis, request);
  const others = ["coordinators", "workers", "versions"] as const;
  if (findings[0]?.status !== "ok")
    return [...findings, ...others.map((check) => skipped(check, "see redis"))];
  try {
    const members = await withRedis(redis, request, listMembers);
    return [...findings, ...checkCluster(members, { version, storeUrl: request.storeUrl })];
  } catch (thrown) {
    return [...findings, ...others.map((check) => failedBy(check, thrown))];
  }
}
