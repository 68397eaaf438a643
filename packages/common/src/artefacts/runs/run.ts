import { z } from "zod";
import { keyPatterns } from "../../recipe/key-patterns.js";
import { imagesPerShard, recipe, scoreFormat } from "../../recipe/recipe.js";
import { sha256 } from "../backbones/backbone-spec.js";
import { runId, runKeys } from "../store-keys.js";
import { scoredEmbeddings } from "../results/served-embedding.js";
import { sourceForm } from "./source-form.js";
import { retryReasons } from "../shards/retry.js";

const plainObject = z.record(z.string(), z.unknown());

/**
 * The recipe of a stored run.
 * @param repeats what `head.repeats` is in a recipe of a version that did not have this field
 */
function storedRecipe(repeats: 1 | null) {
  return z.preprocess((value) => {
    const stored = plainObject.safeParse(value);
    const head = plainObject.safeParse(stored.data?.["head"]);
    if (head.data?.["type"] !== "auto" || "repeats" in head.data) return value;
    return { ...stored.data, head: { ...head.data, repeats } };
  }, recipe);
}

/** `run.json`: what a run is, resolved and frozen. Equal bytes mean the same run. A run of a version before `head.repeats` divides once. */
export const runConfig = z
  .object({
    formatVersion: z.literal(1),
    id: runId,
    /** Absolute location of the labelled images, without credentials. */
    dataset: z.string(),
    /** Absent if the images are the objects under that prefix. */
    from: sourceForm.optional(),
    recipe: storedRecipe(1),
    labels: z
      .object({
        /** In output order; null where the folders are the classes, in UTF-8 byte order. */
        classes: z.array(z.string()).min(2).nullable(),
        /** sha256 of the run's `labels.json`; null where folders label. */
        tableSha256: sha256.nullable(),
      })
      .strict()
      .default({ classes: null, tableSha256: null }),
    /** sha256 of the run's `division.json`; absent if neither a list nor a column of the labels' table divides the images. */
    divisionSha256: sha256.optional(),
    /** Absolute location that the bundle is copied to. */
    export: z.string().nullable().default(null),
    /** The recipe's backbones, resolved, in its order. */
    backbones: z
      .array(
        z
          .object({
            id: z.string(),
            hash: sha256,
            dimension: z.int().positive(),
            inputSize: z.int().positive(),
          })
          .strict(),
      )
      .min(1),
    /** Side of the base image in pixels. */
    side: z.int().positive(),
    /**
     * Folder of the feature shards: everything that decides an embedding. If the dataset's own figures normalise,
     * the worker's `readRunConfig` replaces it by one that covers them.
     */
    fingerprint: sha256,
    /**
     * The run whose failed files this one tries again, and for which reasons. Its shards are that run's, as they are, and
     * new ones of those files; split, labels and measured normalisation are that run's too.
     */
    retryOf: z.object({ run: runId, reasons: retryReasons }).strict().optional(),
    /** The run whose fold this one tunes a network for: one that never sees the images of that fold, from 0. */
    foldOf: z.object({ run: runId, fold: z.int().nonnegative() }).strict().optional(),
  })
  .strict();
export type RunConfig = z.infer<typeof runConfig>;

/** As {@link runConfig}, to compare with a recipe that leaves `head.repeats` out: so did that of a run of a version before it. */
export const runConfigWithoutRepeats = runConfig.extend({ recipe: storedRecipe(null) });

/**
 * The run without tuning that a run that tunes follows: an ordinary run, whose listing, images, split and first classifier it
 * starts from. Undefined for a run that does not tune.
 */
export function untunedOf({ id, recipe: { tune }, foldOf }: TunedRun): string | undefined {
  return tune === null ? undefined : `${foldOf?.run ?? id}-untuned`;
}

type TunedRun = Pick<RunConfig, "id" | "recipe" | "foldOf">;

/** The runs that tune a network for each fold of a run, in their order; none if it holds out a fold itself. */
export function foldRunsOf({ id, recipe: { tune }, foldOf }: TunedRun): string[] {
  if (tune === null || tune.folds === 1 || foldOf !== undefined) return [];
  return Array.from({ length: tune.folds }, (_, fold) => `${id}-fold-${fold + 1}`);
}

/** The runs whose networks the model of a run is made of, in its folds' order; none if it has one of its own. */
export function networkRunsOf(config: TunedRun): string[] {
  return config.recipe.tune?.networks === "folds" ? foldRunsOf(config) : [];
}

/** What names the tuned backbones of a run that tunes: its own, or those of its folds. */
export function tunedKeyOf(config: TunedRun): string {
  const { backbone, networks } = runKeys(config.id).tuning;
  return networkRunsOf(config).length > 0 ? networks : backbone;
}

/** The runs that a run which tunes needs and that come with it: the one without tuning, and those of its folds. */
export function neededRunsOf(config: TunedRun): string[] {
  return [untunedOf(config) ?? [], foldRunsOf(config)].flat();
}

/**
 * The fold of the run without tuning that a run never tunes on: it measures the rounds, and chooses head and temperature afterwards. Null
 * for a run that tunes on all of them.
 */
export function heldOutFoldOf(config: TunedRun): number | null {
  if (config.foldOf !== undefined) return config.foldOf.fold;
  return foldRunsOf(config).length > 0 ? null : 0;
}

/** Length of a row of a run's features: its embeddings, concatenated. */
export function featureDimension(config: Pick<RunConfig, "backbones">): number {
  return config.backbones.reduce((sum, backbone) => sum + backbone.dimension, 0);
}

/** How images are drawn from a listing: the same seed and keys draw the same images. */
const imageSample = z.object({ images: z.int().positive(), seed: z.int().nonnegative() }).strict();

/** `scoring.json`: what a scoring is. */
export const scoringConfig = z
  .object({
    formatVersion: z.literal(1),
    id: runId,
    /** Absolute location of the images. */
    source: z.string(),
    /** Absent if the images are the objects under that prefix. */
    from: sourceForm.optional(),
    /** Absolute location of the output prefix. */
    output: z.string(),
    /** Absolute location of the bundle and the sha256 of its model.onnx. */
    bundle: z.object({ location: z.string(), modelSha256: sha256 }).strict(),
    topK: z.int().positive(),
    formats: z.array(scoreFormat).min(1),
    shardSize: imagesPerShard,
    /** As in a recipe; absent if nothing is left out. */
    include: keyPatterns.optional(),
    exclude: keyPatterns.optional(),
    /** Images of a greater novelty are labelled `unknown`. */
    unknownAbove: z.number().min(0).max(1).optional(),
    /** So are images whose largest probability is smaller: than one number, or than the threshold of its class. */
    minProbability: z.union([z.number().min(0).max(1), z.literal("thresholds")]).optional(),
    /** The first so many images of the listing are scored, and nothing is listed behind them. */
    limit: z.int().positive().optional(),
    /** So many images are scored, drawn by a hash of (seed, key); the others are skipped. */
    sample: imageSample.optional(),
    /** The run whose stored features are scored, and no picture is read; `source` is what it listed. */
    featuresOf: z.object({ run: runId, fingerprint: sha256 }).strict().optional(),
    /** The scoring whose images are scored by another model, and whose labels these are compared with. */
    rescoreOf: z.object({ scoring: runId, output: z.string() }).strict().optional(),
    /** A vector that each row has besides; absent if none is asked for. */
    embeddings: scoredEmbeddings.optional(),
    /** In CSV, texts that a spreadsheet would compute are written as texts. */
    spreadsheetSafe: z.literal(true).optional(),
  })
  .strict();
export type ScoringConfig = z.infer<typeof scoringConfig>;
