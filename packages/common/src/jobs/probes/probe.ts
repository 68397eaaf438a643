import { z } from "zod";
import type { WorkerQueue } from "../pipeline.js";

/**
 * A question to the workers of a queue, as a job that belongs to no run, and so to no stage: one of them measures how long something takes
 * it. What it answers forecasts, and never changes what a run or scoring is. It writes nothing to the store.
 */
export interface ProbeKind<Probe extends ProbePayload, Times> {
  readonly queue: WorkerQueue;
  /** The name of its jobs. */
  readonly job: string;
  readonly payload: z.ZodType<Probe>;
  readonly answer: z.ZodType<ProbeAnswer<Times>>;
}

/** What every question says. */
export interface ProbePayload {
  /** The store that the worker has to be of. */
  readonly storeUrl: string;
  /** Milliseconds since 1970 after which nobody waits for the answer; null if somebody always does. */
  readonly untilMs: number | null;
}

export type ProbeAnswer<Times> =
  { readonly times: Times } | { readonly error: { readonly code: string; readonly message: string } };

export const probePayload = z.object({ storeUrl: z.string(), untilMs: z.number().nullable() });

export function probeAnswerOf<Times>(times: z.ZodType<Times>): z.ZodType<ProbeAnswer<Times>> {
  return z.union([
    z.object({ times }).strict(),
    z.object({ error: z.object({ code: z.string(), message: z.string() }).strict() }).strict(),
  ]);
}
