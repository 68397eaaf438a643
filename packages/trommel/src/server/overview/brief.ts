import { z } from "zod";
import type { DamagedWork, WorkTimes } from "../../api/listing.js";
import type { Progress } from "../../api/following/progress.js";
import type { SubjectKind } from "@trommel/common/jobs";
import type { RunStatus } from "@trommel/coordinator/run-control";

/** What is shown of a run, scoring or sorting in lists and events: figures, and never lists of images. */

export const phases = ["running", "complete", "failed", "cancelled", "paused", "stopped", "damaged"] as const;

export const kinds = ["run", "scoring", "sorting"] as const satisfies readonly SubjectKind[];

const stopReason = z.looseObject({ code: z.string(), message: z.string(), stage: z.string() });

const stageProgress = z.strictObject({
  stage: z.string(),
  done: z.number().meta({ description: "In `unit`" }),
  total: z.number().meta({ description: "In `unit`; it grows while a listing streams" }),
  unit: z.enum(["images", "epochs", "jobs"]),
  perSecond: z.number().nullable(),
  secondsLeft: z.number().nullable(),
  failed: z.number().meta({ description: "Images that failed" }),
  reused: z.number().meta({ description: "Images whose features were in the store" }),
  note: z.string(),
});

export const brief = z
  .strictObject({
    id: z.string(),
    kind: z.enum(kinds),
    phase: z.enum(phases),
    stages: z.array(stageProgress),
    images: z.number().nullable().meta({ description: "Images listed, once it is complete" }),
    failedImages: z.number(),
    accuracy: z.number().nullable().meta({ description: "The accuracy of a complete run" }),
    error: stopReason.nullable(),
    startedAt: z.string().nullable(),
    endedAt: z.string().nullable(),
  })
  .meta({ description: "A run, scoring or sorting, and how far it is" });
export type Brief = z.infer<typeof brief>;

/** @param progress of its stages that have something to do */
export function briefOf(status: (RunStatus & WorkTimes) | DamagedWork, progress: readonly Progress[]): Brief {
  const { id, kind, phase, startedAt = null, endedAt = null, error = null } = status;
  const result = status.phase === "damaged" ? undefined : status.result;
  const stages = progress.map(({ perSecond = null, secondsLeft = null, ...stage }) => ({
    ...stage,
    perSecond: perSecond === null ? null : Number(perSecond.toPrecision(4)),
    secondsLeft: secondsLeft === null ? null : Math.ceil(secondsLeft),
  }));
  return {
    ...{ id, kind, phase, stages, error, startedAt, endedAt },
    images: result?.ledger.listed ?? null,
    failedImages: result?.ledger.failed ?? stages.reduce((most, { failed }) => Math.max(most, failed), 0),
    accuracy: result?.accuracy ?? null,
  };
}
