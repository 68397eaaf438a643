import { z } from "zod";
import type { TrommelError } from "../../errors.js";
import { parseJsonAs } from "../../parse.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import { subjectKeys } from "../store-keys.js";
import { jsonBytes, putJsonOnce } from "../../codec/json-artefact.js";

/**
 * Why a run or scoring stopped: in Redis, and in `error.json` next to its configuration, for Redis is
 * disposable. The next attempt removes it; it tells people and decides nothing about what has been done.
 */

export const stopReason = z.object({
  code: z.string(),
  message: z.string(),
  /** Empty where no stage is at fault. */
  stage: z.string(),
  /** What was damaged has been removed: another attempt makes it again. */
  removed: z.boolean().optional(),
});
export type StopReason = z.infer<typeof stopReason>;

/** Not an error of the run's own: its command received a signal to stop, or was killed. */
export const interruptedCode = "interrupted";

const stopReasonFile = stopReason.extend({ formatVersion: z.literal(1), id: z.string() });

interface Named {
  readonly kind: "run" | "scoring" | "sorting";
  readonly id: string;
}

export function stopReasonOf(error: TrommelError, stage: string): StopReason {
  const { code, message } = error;
  return { code, message, stage, ...(error.context["removed"] === true ? { removed: true } : {}) };
}

/** Keeps the first error, for later ones follow from it. */
export async function noteStopReason(
  store: ObjectStore,
  { kind, id }: Named,
  error: StopReason,
): Promise<void> {
  const body = jsonBytes({ formatVersion: 1, id, ...error });
  await putJsonOnce(store, subjectKeys({ kind, id }).stopReason, body);
}

export async function readStopReason(store: ObjectStore, named: Named): Promise<StopReason | undefined> {
  const key = subjectKeys(named).stopReason;
  if ((await store.head(key)) === undefined) return undefined;
  const {
    formatVersion: _,
    id: __,
    ...error
  } = parseJsonAs(stopReasonFile, await store.get(key, readBounds.document), key);
  return error;
}
