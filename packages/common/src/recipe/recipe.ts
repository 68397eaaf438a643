import { z } from "zod";

/**
 * A recipe is data, not code: backbones, input size, augmentation, SVD, head, optimiser. What a person writes
 * (YAML, flags) is parsed here once; defaults are filled in, so that the result is whole and frozen into `run.json`.
 */

const fraction = z.number().min(0).max(1);
const openFraction = z.number().gt(0).lt(1);

export const decodeRecipe = z
  .object({
    /** Side of the square base image in pixels; `auto` is the largest input of the backbones. */
    side: z.union([z.literal("auto"), z.int().min(16).max(4096)]).default("auto"),
    /** How a picture becomes a square: `squash` ignores its aspect, `letterbox` pads, `crop` cuts the centre. */
    fit: z.enum(["squash", "letterbox", "crop"]).default("squash"),
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

export const viewsRecipe = z
  .object({
    /** Views per image. View 0 is always the identity; the others are drawn. */
    count: z.int().min(1).max(64).default(6),
    /** Degrees: uniform in [-rotation, rotation]. */
    rotation: z.number().min(0).max(180).default(20),
    /** Fractions of the side: uniform in [-shift, shift]. */
    shiftX: fraction.default(0.05),
    shiftY: fraction.default(0.05),
    /** Degrees of shear: uniform in [-shear, shear]. */
    shear: z.number().min(0).lt(90).default(0),
    /** Per-axis scale: uniform in [1 - zoom, 1 + zoom]. */
    zoom: z.number().min(0).lt(1).default(0.05),
    horizontalFlip: z.boolean().default(true),
    verticalFlip: z.boolean().default(false),
    /** One of the four quarter turns, each with probability one quarter. */
    quarterTurns: z.boolean().default(false),
    /** Factor of brightness, contrast and saturation: uniform in [1 - v, 1 + v]. */
    brightness: z.number().min(0).max(1).default(0),
    contrast: z.number().min(0).max(1).default(0),
    saturation: z.number().min(0).max(1).default(0),
  })
  .strict();
export type ViewsRecipe = z.infer<typeof viewsRecipe>;

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

export const headRecipe = z.discriminatedUnion("type", [
  z
    .object({
      type: z.literal("se"),
      /** Rate r of Gaussian dropout: multiplicative noise N(1, r / (1 - r)) on the gate's input, in training only. */
      dropout: z.number().min(0).lt(1).default(0.5),
      /** The gate's hidden width is features / reduction. */
      reduction: z.number().min(1).default(16),
    })
    .strict(),
  z
    .object({
      type: z.literal("linear"),
      dropout: z.number().min(0).lt(1).default(0),
      bias: z.boolean().default(true),
    })
    .strict(),
  z
    .object({
      type: z.literal("mlp"),
      hidden: z.array(z.int().positive()).min(1).default([256]),
      activation: z.enum(["relu", "swish", "tanh"]).default("relu"),
      dropout: z.number().min(0).lt(1).default(0.5),
    })
    .strict(),
]);
export type HeadRecipe = z.infer<typeof headRecipe>;

export const trainingRecipe = z
  .object({
    epochs: z.int().positive().default(100),
    batchSize: z.int().positive().default(64),
    labelSmoothing: z.number().min(0).lt(1).default(0),
    optimizer: z
      .object({
        type: z.literal("adam").default("adam"),
        learningRate: z.number().positive().default(5e-3),
        beta1: z.number().min(0).lt(1).default(0.9),
        beta2: z.number().min(0).lt(1).default(0.999),
        epsilon: z.number().positive().default(1e-7),
      })
      .strict()
      .prefault({}),
    /** Learning rate times `factor` after `patience` epochs without better validation loss, not under `minimum`. */
    schedule: z
      .object({
        type: z.literal("plateau").default("plateau"),
        factor: openFraction.default(0.2),
        patience: z.int().positive().default(5),
        minimum: z.number().positive().default(1e-5),
      })
      .strict()
      .prefault({}),
  })
  .strict();
export type TrainingRecipe = z.infer<typeof trainingRecipe>;

export const recipe = z
  .object({
    name: z.string().min(1).default("default"),
    /** Backbones by name or `name@hash12`; their embeddings are concatenated in this order. */
    backbones: z
      .array(z.string().min(1))
      .min(1, "a recipe needs at least one backbone")
      .refine((names) => new Set(names).size === names.length, "a backbone is named twice"),
    decode: decodeRecipe.prefault({}),
    views: viewsRecipe.prefault({}),
    validation: z
      .object({ fraction: openFraction.default(0.1) })
      .strict()
      .prefault({}),
    /** `null` leaves the embeddings as they are. */
    svd: svdRecipe.nullable().prefault({}),
    head: headRecipe.prefault({ type: "se" }),
    training: trainingRecipe.prefault({}),
    /** Decides views, the split, initial weights, the order of batches and noise. */
    seed: z.int().min(0).max(0xffffffff).default(0),
    shardSize: z.int().min(1).max(4096).default(256),
    /** Type of the embeddings in the feature shards. */
    featureType: z.enum(["f16", "f32"]).default("f32"),
  })
  .strict();

/** A recipe with every default filled in. */
export type Recipe = z.infer<typeof recipe>;
/** What a person may write: defaults left out. */
export type RecipeInput = z.input<typeof recipe>;
