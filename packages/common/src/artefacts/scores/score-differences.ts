import { z } from "zod";
import { sha256 } from "../backbones/backbone-spec.js";
import { runId } from "../store-keys.js";

/** What scoring an earlier scoring's images with another model comes to: which labels differ. */

const images = z.int().nonnegative();

const answer = z.object({ label: z.string(), probability: z.number() }).strict();

/** A line of `differences.jsonl`: an image that both scorings have, with another label in each. */
export const scoreDifference = z.object({ key: z.string(), before: answer, after: answer }).strict();
export type ScoreDifference = z.infer<typeof scoreDifference>;

/** Pairs of labels that `differences.json` lists; a thousand classes have a million. */
export const labelChangesAtMost = 10_000;

/** `differences.json`: their counts. */
export const scoreDifferences = z
  .object({
    formatVersion: z.literal(1),
    /** The scoring that this one is compared with, as it was then. */
    before: z
      .object({
        scoring: runId,
        output: z.string(),
        generation: z.int().nonnegative(),
        retries: z.int().nonnegative(),
        model: z.object({ location: z.string(), modelSha256: sha256 }).strict(),
      })
      .strict(),
    /** Images that both scorings have a row of: `same` and `different` together. */
    inBoth: images,
    same: images,
    different: images,
    /** Images that only one of them has a row of. */
    onlyBefore: images,
    onlyAfter: images,
    /** The labels before and after of the images that differ, the most frequent pair first. */
    changes: z
      .array(z.object({ before: z.string(), after: z.string(), images: z.int().positive() }).strict())
      .max(labelChangesAtMost),
    /** Images of the pairs that are not listed. */
    otherChanges: images,
  })
  .strict();
export type ScoreDifferences = z.infer<typeof scoreDifferences>;
