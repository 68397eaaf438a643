import { z } from "zod";
import { subjectKeys } from "../../artefacts/store-keys.js";
import { jsonBytes, putJson } from "../../codec/json-artefact.js";
import { parseJsonAs } from "../../parse.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readIfThere } from "../../store/read-if-there.js";
import { priorities } from "./fair-queue.js";

/**
 * How a run, scoring or sorting is worked on: `steering.json` next to its configuration. It is no part of what the run is: neither its
 * id nor a byte of what it writes depends on it, and it may change while it runs.
 */
const steering = z.object({
  formatVersion: z.literal(1),
  id: z.string(),
  priority: z.enum(priorities).default("normal"),
  /** Jobs of each queue that are worked on at once; null for no limit. */
  jobsAtMost: z.int().positive().nullable().default(null),
});
export type Steering = Pick<z.infer<typeof steering>, "priority" | "jobsAtMost">;

interface Named {
  readonly kind: "run" | "scoring" | "sorting";
  readonly id: string;
}

export async function readSteering(store: ObjectStore, subject: Named): Promise<Steering> {
  const key = subjectKeys(subject).steering;
  const body = await readIfThere(store, key);
  if (body === undefined) return { priority: "normal", jobsAtMost: null };
  return parseJsonAs(steering, body, key);
}

/** @param changes what is left out stays as it is */
export async function writeSteering(
  store: ObjectStore,
  subject: Named,
  changes: { readonly [Field in keyof Steering]?: Steering[Field] | undefined },
): Promise<void> {
  const now = await readSteering(store, subject);
  const { priority = now.priority, jobsAtMost = now.jobsAtMost } = changes;
  const body = jsonBytes({ formatVersion: 1, id: subject.id, priority, jobsAtMost });
  await putJson(store, subjectKeys(subject).steering, body);
}
