import { z } from "zod";
import { scoreFormat } from "../../recipe/recipe.js";
import { sha256 } from "../backbones/backbone-spec.js";
import { partSpan, type PartSpan } from "../generations/part-list.js";
import { runId } from "../store-keys.js";

/** What closing a scoring writes in addition to its ledger. */

const images = z.int().nonnegative();

/** `counts.json`: for how many images each label is the likeliest. */
export const scoreCounts = z
  .object({
    formatVersion: z.literal(1),
    /** Every scored image: the sum over the labels, and those that are unknown. */
    images,
    /** All labels of the model in output order, those of no image too. */
    labels: z.array(z.object({ label: z.string(), images }).strict()),
    /** Images that are labelled `unknown`; absent if none is. */
    unknown: images.optional(),
    /**
     * The same by group, in order of each group's first label, where labels are written `group/name`, such as
     * `可回收物/易拉罐`; a label without a `/` among them is a group of its own. Null where no label has one.
     */
    groups: z.array(z.object({ group: z.string(), images }).strict()).nullable(),
  })
  .strict();
export type ScoreCounts = z.infer<typeof scoreCounts>;

/** The outcome of a scoring's `submission.csv`. If it is not merged, the parts still hold its rows. */
export const submissionOutcome = z.discriminatedUnion("merged", [
  z
    .object({
      merged: z.literal(true),
      file: z.string(),
      rows: images,
      sizeBytes: z.int().nonnegative(),
      sha256,
    })
    .strict(),
  z
    .object({
      merged: z.literal(false),
      reason: z.enum([
        /** It would pass the bound under which it is put together in memory. */
        "too-large",
        /** Two images have the same key but for their extension, so an id would stand for both. */
        "repeated-ids",
      ]),
      /** For people: what was found and what to do. */
      detail: z.string(),
    })
    .strict(),
]);
export type SubmissionOutcome = z.infer<typeof submissionOutcome>;

/** `_SUCCESS.json`, written last: with it the scoring is whole. */
export const scoringSuccess = z
  .object({
    formatVersion: z.literal(1),
    scoring: runId,
    /** Present from the second generation on. Its ledger, errors and counts lie in its folder, as its own parts do. */
    generation: z
      .object({
        number: z.int().positive(),
        folder: z.string(),
        /** Images that it scored, those that it dropped, and those whose rows it kept. */
        added: images,
        changed: images,
        removed: images,
        unchanged: images,
        /** The current parts, of this and of earlier generations, in order. */
        parts: z.array(partSpan).min(1),
      })
      .strict()
      .optional(),
    /** Current parts of each format. */
    parts: z.int().positive(),
    /** How often failed files were tried again (`trommel retry`) since; the parts of those tries are the last ones. */
    retries: z.int().nonnegative().default(0),
    formats: z.array(scoreFormat).min(1),
    /**
     * The current parts of each format, in the order of `formats`: the first and the last of each run of them. Those between are
     * numbered through. A file that is not among them is out of date.
     */
    files: z.array(z.object({ format: scoreFormat, first: z.string(), last: z.string() }).strict()),
    /** Scored images. */
    rows: images,
    model: z.object({ location: z.string(), modelSha256: sha256 }).strict(),
    /** The rule by which files became pixels. */
    decodeVersion: z.int().positive().default(1),
    /** Whether rows have the novelty of their image. */
    novelty: z.boolean().default(false),
    /** What makes an image unknown, and how many are. */
    unknown: z
      .object({
        novelty: z.number().nullable(),
        minProbability: z.union([z.number(), z.literal("thresholds")]).nullable(),
        images,
      })
      .strict()
      .nullable()
      .default(null),
    /** Null where the format `kaggle` was not asked for. */
    submission: submissionOutcome.nullable(),
  })
  .strict();
export type ScoringSuccess = z.infer<typeof scoringSuccess>;

/** The current parts of a finished scoring. */
export function partsOf({ generation, parts }: Pick<ScoringSuccess, "generation" | "parts">): PartSpan[] {
  return generation?.parts ?? [{ generation: 0, first: 0, last: parts - 1 }];
}
