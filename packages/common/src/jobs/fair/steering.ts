import { z } from "zod";
import { subjectKeys } from "../../artefacts/store-keys.js";
import { jsonBytes, putJsonOnce } from "../../codec/json-artefact.js";
import { TrommelError } from "../../errors.js";
import { parseJsonAs } from "../../parse.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import { priorities } from "./fair-queue.js";

/**
 * How a run, scoring or sorting is worked on: the last file of `steering/` next to its configuration. It is no part of what the run is: neither
 * its id nor a byte of what it writes depends on it, and it may change while it runs. Each change writes the next number and none is
 * overwritten, so of two at once the second begins again with what the first wrote.
 */
const steering = z.object({
  formatVersion: z.literal(1),
  id: z.string(),
  priority: z.enum(priorities).default("normal"),
  /** Jobs of each queue that are worked on at once; null for no limit. */
  jobsAtMost: z.int().positive().nullable().default(null),
});
export type Steering = Pick<z.infer<typeof steering>, "priority" | "jobsAtMost">;

/** How often a change begins again because another one came first. */
const triesAtMost = 100;

interface Named {
  readonly kind: "run" | "scoring" | "sorting";
  readonly id: string;
}

export async function readSteering(store: ObjectStore, subject: Named): Promise<Steering> {
  const { priority, jobsAtMost } = await readLast(store, subject);
  return { priority, jobsAtMost };
}

/**
 * @param changes what is left out stays as it is
 * @throws TrommelError `conflict`, retryable, if others keep changing it
 */
export async function writeSteering(
  store: ObjectStore,
  subject: Named,
  changes: { readonly [Field in keyof Steering]?: Steering[Field] | undefined },
): Promise<void> {
  for (let tried = 0; tried < triesAtMost; tried += 1) {
    const now = await readLast(store, subject);
    const { priority = now.priority, jobsAtMost = now.jobsAtMost } = changes;
    const body = jsonBytes({ formatVersion: 1, id: subject.id, priority, jobsAtMost });
    const key = subjectKeys(subject).steering(now.changes);
    if ((await putJsonOnce(store, key, body)) === "written") return;
  }
  throw new TrommelError(
    "conflict",
    `cannot steer ${subject.id}: ${triesAtMost} other changes came first. Try again`,
    { retryable: true, context: { id: subject.id } },
  );
}

/** What is in force, and how many changes led to it. */
async function readLast(
  store: ObjectStore,
  subject: Named,
): Promise<Steering & { readonly changes: number }> {
  let last: string | undefined;
  let changes = 0;
  for await (const { key } of store.list(subjectKeys(subject).steeringFolder)) {
    last = key;
    changes += 1;
  }
  if (last === undefined) return { priority: "normal", jobsAtMost: null, changes };
  return { ...parseJsonAs(steering, await store.get(last, readBounds.document), last), changes };
}
