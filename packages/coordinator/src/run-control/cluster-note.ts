import { parseJsonAs, subjectKeys, type ObjectStore } from "@trommel/common";
import { checkRedis } from "@trommel/common/redis";
import { readIfThere } from "@trommel/common/store";
import { z } from "zod";
import type { Subject } from "./subject.js";
import { jsonBytes, putJson } from "@trommel/common/codec";

/** The address of an embedded cluster, in the store as long as the cluster works on a run. */
const clusterNote = z.object({ redis: z.string() });

export async function noteCluster(store: ObjectStore, subject: Subject, redisUrl: string): Promise<void> {
  const body = jsonBytes({ redis: redisUrl });
  await putJson(store, subjectKeys(subject).cluster, body);
}

export async function forgetCluster(store: ObjectStore, subject: Subject): Promise<void> {
  await store.delete([subjectKeys(subject).cluster]);
}

/** The Redis of the embedded cluster that works on a run on this machine; undefined without one, or if it was killed. */
export async function findCluster(store: ObjectStore, subject: Subject): Promise<string | undefined> {
  const { cluster: key } = subjectKeys(subject);
  const body = await readIfThere(store, key);
  if (body === undefined) return undefined;
  const { redis } = parseJsonAs(clusterNote, body, key);
  // Only a socket of this machine: an address from a shared store is not trusted.
  if (!redis.startsWith("unix:")) return undefined;
  return checkRedis(redis, 1000).then(
    () => redis,
    () => undefined,
  );
}
