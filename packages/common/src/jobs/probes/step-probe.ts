import { z } from "zod";
import { tuneRecipe } from "../../recipe/tune-recipe.js";
import { viewsRecipe } from "../../recipe/views-recipe.js";
import { probeAnswerOf, probePayload, type ProbeKind } from "./probe.js";

const stepProbe = z
  .object({
    ...probePayload.shape,
    /** `<name>@<hash12>` */
    backbone: z.string(),
    /** Side of the base image in pixels. */
    side: z.int().positive(),
    classCount: z.int().min(2),
    tune: tuneRecipe,
    views: viewsRecipe,
  })
  .strict();
export type StepProbe = z.infer<typeof stepProbe>;

/** Times on the worker that measured, without reading and decoding images. */
const stepTimes = z
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

/** How long a step of tuning takes; the answer also refuses rounds that are too long. */
export const stepProbes: ProbeKind<StepProbe, StepTimes> = {
  queue: "tune",
  job: "step-probe",
  payload: stepProbe,
  answer: probeAnswerOf(stepTimes),
};
