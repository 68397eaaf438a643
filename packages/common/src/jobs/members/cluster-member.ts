import type { Redis } from "ioredis";
import { z } from "zod";
import { devices, engines } from "../../worker-commands.js";
import { queuePrefix } from "../queues.js";

/**
 * Who serves a cluster now: every coordinator and worker writes a key that expires by itself, so that one which was killed is
 * gone within seconds. It is for people and dashboards, and decides nothing.
 *
 * Keys: `trommel:members` (set of names), `trommel:member:<name>` (JSON that expires).
 */

/** What a worker has besides. */
const workerFacts = z.object({
  queues: z.array(z.string()),
  engine: z.enum(engines),
  device: z.enum(devices),
  /** What computes: an execution provider of ONNX Runtime, or a backend of TensorFlow.js. */
  provider: z.string(),
  threads: z.int(),
  /** Shards in flight at most. */
  concurrency: z.int(),
  /** Jobs under way. */
  underWay: z.array(z.object({ stage: z.string(), run: z.string(), unit: z.int().optional() })),
  /** Images that its jobs have worked through since it started. */
  images: z.number(),
  /** Over the last beats. */
  imagesPerSecond: z.number(),
  /** The share of the last beats, 0 to 1, in which the device had something to compute. */
  busyShare: z.number(),
});

/** Another version may say more; what is not known here is left out. */
const clusterMember = z.object({
  kind: z.enum(["coordinator", "worker"]),
  /** `<host>:<pid>`, as each of its jobs names it. */
  name: z.string(),
  version: z.string(),
  storeUrl: z.string(),
  /** Milliseconds since 1970, by its own clock. */
  startedMs: z.number(),
  residentBytes: z.number(),
  worker: workerFacts.optional(),
});
export type ClusterMember = z.infer<typeof clusterMember>;

/** How long a member that was killed is still listed, at most. */
const memberTtlMs = 15_000;

const namesKey = `${queuePrefix}:members`;

function keyOf(name: string): string {
  return `${queuePrefix}:member:${name}`;
}

export async function writeMember(redis: Redis, member: ClusterMember): Promise<void> {
  const text = JSON.stringify(member);
  await redis.multi().set(keyOf(member.name), text, "PX", memberTtlMs).sadd(namesKey, member.name).exec();
}

export async function removeMember(redis: Redis, name: string): Promise<void> {
  await redis.multi().del(keyOf(name)).srem(namesKey, name).exec();
}

/** Every member that has said within seconds that it serves, in order of their names. */
export async function listMembers(redis: Redis): Promise<ClusterMember[]> {
  const names = (await redis.smembers(namesKey)).sort();
  if (names.length === 0) return [];
  const texts = await redis.mget(names.map(keyOf));
  const gone = names.filter((_, at) => texts[at] === null);
  if (gone.length > 0) await redis.srem(namesKey, gone);
  return texts.flatMap((text) => {
    const parsed = clusterMember.safeParse(text === null ? null : parsedOrNull(text));
    return parsed.success ? [parsed.data] : [];
  });
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
