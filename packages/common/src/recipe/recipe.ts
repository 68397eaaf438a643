import { z } from "zod";
import { normalization, normalizationName, outputPoolings } from "../artefacts/backbones/backbone-spec.js";
import { defaultType } from "./default-type.js";
import { recipeHead, refuseUnusedRepeats, type RecipeHead } from "./auto-head.js";
import { keyPatterns } from "./key-patterns.js";
import { labelsRecipe } from "./labels-recipe.js";
import { servedFlips, servingViews, type ServingRecipe } from "./serving-views.js";
import { refuseUnsolvableHead } from "./solver-rules.js";
import { refuseColumnWithoutTable, splitRecipe } from "./split-recipe.js";
import { trainingRecipe } from "./training-recipe.js";
import { refuseUntunable, tuneRecipe, withTuningParts } from "./tune-recipe.js";
import { viewsRecipe, type ViewsRecipe } from "./views-recipe.js";

/**
 * A recipe is data, not code: backbones, input size, augmentation, SVD, head, optimiser. What a person writes
 * (YAML, flags) is parsed here once; defaults are filled in, so that the result is whole and frozen into `run.json`.
 */

const openFraction = z.number().gt(0).lt(1);

/**
 * How scores are written: rows with the best labels as JSON lines or CSV; `result`, JSON lines of `{"result": label}` and
 * the key; `kaggle`, one CSV of every class's probability; `parquet`, rows with every class's probability.
 */
export const scoreFormat = z.enum(["jsonl", "csv", "result", "kaggle", "parquet"]);
export type ScoreFormat = z.infer<typeof scoreFormat>;

export const decodeRecipe = z
  .object({
    /** Side of the square base image in pixels; `auto` is the largest input of the backbones. */
    side: z.union([z.literal("auto"), z.int().min(16).max(4096)]).default("auto"),
    /** How a picture becomes a square: `squash` ignores its aspect, `letterbox` pads, `crop` cuts the centre. */
    fit: z.enum(["squash", "letterbox", "crop"]).default("squash"),
    /** Interpolation of the resize to the base image. */
    kernel: z.enum(["nearest", "linear", "cubic", "mitchell", "lanczos2", "lanczos3"]).default("lanczos3"),
    /** RGB under transparent pixels and around a letterboxed picture, 0..255. */
    background: z
      .tuple([z.int().min(0).max(255), z.int().min(0).max(255), z.int().min(0).max(255)])
      .default([255, 255, 255]),
    /** Larger files are refused unread. */
    maxBytes: z
      .int()
      .positive()
      .default(64 * 1024 * 1024),
    /** Pictures with more pixels are refused by their header. */
    maxPixels: z.int().positive().default(100_000_000),
  })
  .strict();
export type DecodeRecipe = z.infer<typeof decodeRecipe>;

export const svdRecipe = z
  .object({
    /** Share of the squared singular values that is kept. */
    energy: z.number().gt(0).max(1).default(0.9),
    /** The number of components is the smallest multiple of this that keeps the energy (at most the dimension). */
    step: z.int().positive().default(100),
    /** Subtract the column mean first (principal components). */
    centre: z.boolean().default(false),
  })
  .strict();
export type SvdRecipe = z.infer<typeof svdRecipe>;

const backboneReference = z
  .object({
    /** A name, or `name@hash12`. */
    name: z.string().min(1),
    /** What the backbone must have been imported with; null accepts any. */
    inputSize: z.int().positive().nullable().default(null),
    /** What its spatial output must be pooled by; null accepts any. */
    pooling: z.enum(outputPoolings).nullable().default(null),
  })
  .strict();

/** A shard's marker has to hold a row for each of its files, should all of them fail. */
export const imagesPerShardAtMost = 4096;
export const imagesPerShard = z.int().min(1).max(imagesPerShardAtMost);

/** Its value becomes part of the run's configuration, so that no variable with a secret may be named. */
const pathVariable = z
  .string()
  .regex(
    /^[A-Z][A-Z0-9_]*_(PATH|DIR|URL|PREFIX)$/,
    "the variable's name ends in _PATH, _DIR, _URL or _PREFIX",
  )
  .nullable()
  .default(null);

export const recipe = z
  .object({
    /** Names the recipe in run.json, reports and bundles. */
    name: z.string().min(1).default("default"),
    /** One line for `trommel recipe ls`. */
    description: z.string().default(""),
    /** Backbones in order of their embeddings' concatenation; a text is a name. */
    backbones: z
      .array(
        z.preprocess((value) => (typeof value === "string" ? { name: value } : value), backboneReference),
      )
      .min(1, "a recipe needs at least one backbone")
      .refine(
        (references) => new Set(references.map(({ name }) => name)).size === references.length,
        "a backbone is named twice",
      ),
    decode: decodeRecipe.prefault({}),
    /**
     * What the pixels of every backbone are normalised by: the figures that it was imported with, a named or a given
     * normalisation, or the mean and deviation of the dataset's own pixels.
     */
    normalization: z
      .union(
        [z.enum(["backbone", "dataset"]), normalizationName, normalization],
        `legal are backbone, dataset, ${normalizationName.options.join(", ")}, or { mean: [r, g, b], deviation: [r, g, b] } in 0..255 units`,
      )
      .default("backbone"),
    /**
     * What the backbones' networks compute in; sampling, normalisation and head are float32 in any case. `fp16` is for
     * GPUs: a CPU computes it by way of float32, slower. Backbones in int8 are made by `trommel backbone quantize`.
     */
    precision: z.enum(["fp32", "fp16"]).default("fp32"),
    views: viewsRecipe.prefault({}),
    labels: labelsRecipe.prefault({}),
    /**
     * Globs over the keys below the prefix: only what one of them matches is listed. `*` stays within a folder, `**` does not; a pattern
     * without a slash matches the file's name in any folder, one that ends in a slash all that lies in that folder. None take all.
     */
    include: keyPatterns.default([]),
    /** Globs in the same form: what one of them matches is left out, and counted by it. `include` comes first. */
    exclude: keyPatterns.default([]),
    /** The test part, and which images stay together. */
    split: splitRecipe.prefault({}),
    /** The validation part of every head but `auto`: it chooses the epoch that is kept. */
    validation: z
      .object({
        /** Share of the images that validates. */
        fraction: openFraction.default(0.1),
        /** The share of each class's own images, or from every class as many as that share of the smallest one. */
        of: z.enum(["class", "smallest-class"]).default("class"),
      })
      .strict()
      .prefault({}),
    /** The projection of every head but `auto`, which standardises the embeddings instead; null leaves them as they are. */
    svd: svdRecipe.nullable().prefault({}),
    head: defaultType("auto", recipeHead).prefault({}),
    /** How every head but `auto` is trained. The candidates of `auto` take `classWeights` and `sampling` from here, and nothing else. */
    training: trainingRecipe.prefault({}),
    /** Tunes the backbone before the head is trained; null leaves it as it was imported. */
    tune: tuneRecipe.nullable().default(null),
    serving: z
      .object({
        /**
         * The views whose logits the model averages: the image alone (`identity`); with its mirror image (`mirrored`), in twice the
         * time; or a list such as `[identity, horizontal, vertical, both]`. The flips are the first of `views.flips`. Only with
         * `head: auto`.
         */
        views: servingViews.default("identity"),
      })
      .strict()
      .prefault({}),
    /** What a scoring by this model writes by default; `jsonl` is always written. */
    scores: z
      .object({ formats: z.array(scoreFormat).default(["jsonl"]) })
      .strict()
      .prefault({}),
    /** Environment variables that name the dataset and where the bundle is copied to, where the command line does not. */
    environment: z
      .object({
        input: pathVariable,
        output: pathVariable,
      })
      .strict()
      .prefault({}),
    /** Decides views, the split, initial weights, the order of batches and noise. */
    seed: z.int().min(0).max(0xffffffff).default(0),
    /** Images per shard, the unit of work and retry. */
    shardSize: imagesPerShard.default(256),
    /** Type of the embeddings in the feature shards. */
    featureType: z.enum(["f16", "f32"]).default("f32"),
  })
  .strict()
  .superRefine(refuseUnsolvableHead)
  .superRefine(refuseColumnWithoutTable)
  .superRefine(refuseUnmeasuredViews)
  .superRefine(refuseUnusedRepeats)
  .superRefine(refuseUntunable)
  .overwrite(withTuningParts);

/** A model averages over views that every image has, so that what they gain can be measured. */
function refuseUnmeasuredViews(
  { serving, views, head }: { serving: ServingRecipe; views: ViewsRecipe; head: RecipeHead },
  context: z.RefinementCtx,
): void {
  const flips = servedFlips({ serving });
  const isMeasured = flips.every((name, at) => views.flips[at] === name);
  if (flips.length === 0) return;
  const refuse = (message: string): void =>
    context.addIssue({ code: "custom", path: ["serving", "views"], message });
  if (head.type !== "auto")
    refuse(
      `views beyond the image itself need the head auto, which measures what they gain, and the head is ${head.type}; leave serving.views out, or the --head`,
    );
  else if (!isMeasured)
    refuse(
      `views beyond the image itself need views.flips that begin with ${flips.join(", ")}, so that what they gain can be measured; add --set 'views.flips=[${flips.join(",")}]'`,
    );
}

/** A recipe with every default filled in. */
export type Recipe = z.infer<typeof recipe>;
/** What a person may write: defaults left out. */
export type RecipeInput = z.input<typeof recipe>;
