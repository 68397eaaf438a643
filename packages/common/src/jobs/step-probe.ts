import { z } from "zod";
import { tuneRecipe } from "../recipe/tune-recipe.js";
import { viewsRecipe } from "../recipe/views-recipe.js";

/**
 * A job of the queue `tune` that belongs to no run, and so to no stage: a worker measures how long a step of tuning takes it. What it
 * answers forecasts, and refuses rounds that are too long; it never changes what a run is. It writes nothing to the store.
 */
export const stepProbeJob = "step-probe";

export const stepProbe = z
  .object({
    /** The store that has the backbone. */
    storeUrl: z.string(),
    /** `<name>@<hash12>` */
    backbone: z.string(),
    /** Side of the base image in pixels. */
    side: z.int().positive(),
    classCount: z.int().min(2),
    tune: tuneRecipe,
    views: viewsRecipe,
    /** Milliseconds since 1970 after which nobody waits for the answer; null if somebody always does. */
    untilMs: z.number().nullable(),
  })
  .strict();
export type StepProbe = z.infer<typeof stepProbe>;

/** Times on the worker that measured, without reading and decoding images. */
export const stepTimes = z
  .object({
    /** From the backbone in the store to a network that can take a step. */
    openMs: z.number().nonnegative(),
    /** The fastest step that was measured. */
    stepMs: z.number().nonnegative(),
    /** To measure the network on one held-out image. */
    heldOutImageMs: z.number().nonnegative(),
    /** What a round may take before a worker that has to stop gives it up; null for one that ends with its command. */
    drainMs: z.number().nonnegative().nullable(),
  })
  .strict();
export type StepTimes = z.infer<typeof stepTimes>;

export const stepProbeAnswer = z.union([
  z.object({ times: stepTimes }).strict(),
  z.object({ error: z.object({ code: z.string(), message: z.string() }).strict() }).strict(),
]);
export type StepProbeAnswer = z.infer<typeof stepProbeAnswer>;
