import { z } from "zod";
import { contradictions } from "./contradictions.js";
import { TrommelError } from "../../errors.js";
import { headRecipe } from "../../recipe/head-recipe.js";
import { recipe } from "../../recipe/recipe.js";
import { backboneSpec, sha256 } from "../backbones/backbone-spec.js";
import { evaluation, measuredHead } from "./metrics.js";
import { thresholds } from "./thresholds.js";

/** File names inside a bundle's folder. */
export const bundleFiles = {
  model: "model.onnx",
  manifest: "bundle.json",
  metrics: "metrics.json",
  report: "report.html",
  /** Loss and accuracy over the epochs. */
  lossCurves: "loss.png",
  projection: "projection.safetensors",
  /** Only with `head: auto`. */
  standardization: "standardization.safetensors",
  head: "head.safetensors",
  /** Statistics of how unlike the training images an image is. */
  novelty: "novelty.safetensors",
  /** Drawn pictures, and what the model gives for them. */
  golden: "golden.safetensors",
} as const;

/**
 * How files become pixels. 1 is the rule of the first release: the first page of a TIFF file, whatever its samples are, and
 * enlarged pictures half a pixel off. A bundle is scored by the rule that it was trained by.
 */
export const decodeVersion = 2;

const briefFigures = evaluation.pick({ rows: true, accuracy: true, macroF1: true, logLoss: true });

/** `bundle.json`, written last: with it the bundle is whole. */
export const bundleManifest = z
  .object({
    formatVersion: z.literal(1),
    run: z.string(),
    /** In the order of the model's output. */
    labels: z.array(z.string()).min(2),
    /** What `model.onnx` takes and gives. */
    input: z
      .object({
        name: z.literal("pixels"),
        type: z.literal("uint8"),
        /** [N, side, side, 3]; N is free. */
        side: z.int().positive(),
        channelOrder: z.literal("rgb"),
        /** How a file becomes those pixels. */
        decode: recipe.shape.decode,
        /** The rule by which it does; a bundle that does not say so is of the first one. */
        decodeVersion: z
          .int()
          .positive()
          .max(
            decodeVersion,
            "a newer Trommel trained it, which decodes pictures by another rule: update this one",
          )
          .default(1),
      })
      .strict(),
    output: z
      .object({ name: z.literal("probabilities"), type: z.literal("float32"), classes: z.int().positive() })
      .strict(),
    recipe,
    /** As they lie in the store, but for `normalization`: what this model's pixels are normalised by. */
    backbones: z.array(backboneSpec).min(1),
    svd: z
      .object({ components: z.int().positive(), energyKept: z.number(), scale: z.number() })
      .strict()
      .nullable(),
    /** The heads of `head: auto`, whose logits are averaged and divided by the temperature. */
    ensemble: z
      .object({
        head: headRecipe,
        heads: z.int().positive(),
        /** The divisions into folds that they come from. */
        repeats: z.int().positive().default(1),
        temperature: z.number().positive(),
        /** Present if each head takes the embedding of its own backbone, in their order; otherwise all take all of it. */
        ownNetworks: z.literal(true).optional(),
      })
      .strict()
      .nullable()
      .default(null),
    /** The model's second output: [N], the share of the training images that are less novel. Null if it has none. */
    novelty: z
      .object({ name: z.literal("novelty"), type: z.literal("float32"), images: z.int().positive() })
      .strict()
      .nullable()
      .default(null),
    thresholds: thresholds.nullable().default(null),
    /**
     * `golden.safetensors`: drawn pictures as `pixels` (earlier builds: images of the run), what the model gives for them, and by how
     * much a device may differ.
     */
    golden: z
      .object({ images: z.int().positive(), tolerance: z.number().positive() })
      .strict()
      .nullable()
      .default(null),
    hashes: z.record(z.string(), sha256),
    versions: z.record(z.string(), z.string()),
    data: z
      .object({
        images: z.int(),
        trainImages: z.int(),
        validationImages: z.int(),
        failedImages: z.int(),
        trainRows: z.int(),
        /** With `head: auto` every image trains and validates, except those of the test part. */
        classes: z.array(
          z
            .object({ label: z.string(), train: z.int(), validation: z.int(), test: z.int().default(0) })
            .strict(),
        ),
      })
      .strict(),
    /** Images with the same bytes and different labels; null without any. */
    contradictions: contradictions.nullable().default(null),
    metrics: briefFigures.extend({
      measured: measuredHead.default("head"),
      /** What chose the model, in a sentence. */
      chosenBy: z.string().default(""),
      /** Those of the validation part with epochs that its other images chose; null where no epoch was chosen. */
      chosenApart: briefFigures.nullable().default(null),
      /** The figures of the test part; null without one. */
      test: briefFigures.nullable().default(null),
    }),
  })
  .strict();
export type BundleManifest = z.infer<typeof bundleManifest>;

/** A row of a score part; a source with columns of its own carries them in further fields. */
export const scoreRow = z.object({
  key: z.string(),
  label: z.string(),
  probability: z.number(),
  top: z.array(z.object({ label: z.string(), probability: z.number() }).strict()),
  /** The share of the training images that are less novel; absent if the model does not tell. */
  novelty: z.number().optional(),
  /** See `served-embedding.ts`; absent if the scoring asks for none. */
  embedding: z.array(z.number()).optional(),
});
export type ScoreRow = z.infer<typeof scoreRow>;

/**
 * Labels per row: as many as asked for, or five, or all where there are fewer.
 * @throws TrommelError `invalid-argument` where more are asked for than there are
 */
export function chooseTopK(asked: number | undefined, classes: number): number {
  if (asked === undefined) return Math.min(5, classes);
  if (asked <= classes) return asked;
  throw new TrommelError(
    "invalid-argument",
    `cannot give ${asked} labels a row (--top): the model has ${classes}. Give at most that many`,
  );
}
