import { z } from "zod";
import { scoringConfig } from "../../artefacts/runs/run.js";
import { shardEntry } from "../../artefacts/shards/listing.js";
import { probeAnswerOf, probePayload, type ProbeKind } from "./probe.js";

/** Images that a worker decodes and scores at most to answer. */
export const probedImagesAtMost = 64;

const scoreProbe = z
  .object({
    ...probePayload.shape,
    source: scoringConfig.shape.source,
    bundle: scoringConfig.shape.bundle,
    /** Some of the listed images. */
    entries: z.array(shardEntry).min(1).max(probedImagesAtMost),
  })
  .strict();
export type ScoreProbe = z.infer<typeof scoreProbe>;

const scoreTimes = z
  .object({
    /** From the bundle to the first scores, without the images' own time. */
    startMs: z.number().nonnegative(),
    /** To read, decode and score one more image while others are under way. */
    imageMs: z.number().positive(),
    /** Images that were tried. */
    images: z.int().positive(),
  })
  .strict();
export type ScoreTimes = z.infer<typeof scoreTimes>;

/** How long images take to be scored. */
export const scoreProbes: ProbeKind<ScoreProbe, ScoreTimes> = {
  queue: "score",
  job: "score-probe",
  payload: scoreProbe,
  answer: probeAnswerOf(scoreTimes),
};
