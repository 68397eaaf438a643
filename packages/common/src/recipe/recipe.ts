import { z } from "zod";
import { namedNormalizations, normalization } from "../artefacts/backbone-spec.js";

/**
 * A recipe is data, not code: backbones, input size, augmentation, SVD, head, optimiser. What a person writes
 * (YAML, flags) is parsed here once; defaults are filled in, so that the result is whole and frozen into `run.json`.
 */

const fraction = z.number().min(0).max(1);
const openFraction = z.number().gt(0).lt(1);

/**
 * How scores are written: rows with the best labels as JSON lines or CSV; `result`, JSON lines of `{"result": label}` and
 * the key; `kaggle`, one CSV of every class's probability.
 */
export const scoreFormat = z.enum(["jsonl", "csv", "result", "kaggle"]);
export type ScoreFormat = z.infer<typeof scoreFormat>;

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

/** A pair of numbers above zero, the smaller first. */
const positiveRange = z
  .tuple([z.number().positive(), z.number().positive()])
  .refine(([low, high]) => low <= high, "the smaller number comes first");

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
    /** With probability one half; `alternate` mirrors every odd view and no other. */
    horizontalFlip: z.union([z.boolean(), z.literal("alternate")]).default(true),
    /** With probability one half. */
    verticalFlip: z.boolean().default(false),
    /** One of the four quarter turns, each with probability one quarter. */
    quarterTurns: z.boolean().default(false),
    /** With this probability each of the four edges loses a share of the side, uniform in [0, share]. */
    crop: z
      .object({ share: z.number().gt(0).lt(0.5), probability: fraction.default(1) })
      .strict()
      .nullable()
      .default(null),
    /** Random resized crop (Szegedy et al. 2015): share of the area, uniform; width over height, log-uniform. */
    resizedCrop: z
      .object({
        area: positiveRange.refine(([, most]) => most <= 1, "an area is at most 1").default([0.08, 1]),
        ratio: positiveRange.default([3 / 4, 4 / 3]),
      })
      .strict()
      .nullable()
      .default(null),
    /** How the geometric steps follow one another: always alike, or in an order that is drawn too. */
    order: z.enum(["fixed", "random"]).default("fixed"),
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

/** Where a choice of several kinds names none, it is the default one. */
function defaultType<T extends z.ZodType>(type: string, union: T) {
  return z.preprocess((value) => {
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject && !("type" in value) ? { type, ...value } : value;
  }, union);
}

const dropoutRate = z.number().min(0).lt(1);

export const headRecipe = z.discriminatedUnion("type", [
  z
    .object({
      type: z.literal("se"),
      /** Rate r of Gaussian dropout: multiplicative noise N(1, r / (1 - r)) on the gate's input, in training only. */
      dropout: dropoutRate.default(0.5),
      /** The gate's hidden width is features / reduction. */
      reduction: z.number().min(1).default(16),
      /** Of the gate's hidden layer. */
      activation: z.enum(["swish", "relu"]).default("swish"),
      /** Plain dropout on the gated features. */
      outputDropout: dropoutRate.default(0),
    })
    .strict(),
  z
    .object({
      type: z.literal("linear"),
      dropout: dropoutRate.default(0),
      bias: z.boolean().default(true),
    })
    .strict(),
  z
    .object({
      type: z.literal("mlp"),
      hidden: z.array(z.int().positive()).min(1).default([256]),
      activation: z.enum(["relu", "swish", "tanh"]).default("relu"),
      dropout: dropoutRate.default(0.5),
    })
    .strict(),
]);
export type HeadRecipe = z.infer<typeof headRecipe>;

/** An L2 penalty: this times the weight is added to every weight's gradient. */
const weightDecay = z.number().min(0).default(0);
const beta1 = z.number().min(0).lt(1).default(0.9);
const beta2 = z.number().min(0).lt(1).default(0.999);
const epsilon = z.number().positive().default(1e-7);

export const optimizerRecipe = z.discriminatedUnion("type", [
  z
    .object({
      type: z.literal("adam"),
      learningRate: z.number().positive().default(5e-3),
      beta1,
      beta2,
      epsilon,
      weightDecay,
    })
    .strict(),
  /** Adam with Nesterov momentum (Dozat 2016), as Keras 2 computes it. */
  z
    .object({
      type: z.literal("nadam"),
      learningRate: z.number().positive().default(2e-3),
      beta1,
      beta2,
      epsilon,
      scheduleDecay: z.number().min(0).lt(1).default(4e-3),
      weightDecay,
    })
    .strict(),
  z
    .object({
      type: z.literal("sgd"),
      learningRate: z.number().positive().default(1e-2),
      momentum: z.number().min(0).lt(1).default(0.9),
      nesterov: z.boolean().default(false),
      weightDecay,
    })
    .strict(),
]);
export type OptimizerRecipe = z.infer<typeof optimizerRecipe>;

/** Epochs in which the rate rises linearly, step by step, from zero to the learning rate. */
const warmupEpochs = z.int().min(0).default(0);

export const scheduleRecipe = z.discriminatedUnion("type", [
  /** Learning rate times `factor` after `patience` epochs without better validation loss, not under `minimum`. */
  z
    .object({
      type: z.literal("plateau"),
      factor: openFraction.default(0.2),
      patience: z.int().positive().default(5),
      minimum: z.number().positive().default(1e-5),
      warmupEpochs,
    })
    .strict(),
  z.object({ type: z.literal("constant"), warmupEpochs }).strict(),
  /** Half a cosine from the learning rate down to `minimum`, step by step. */
  z.object({ type: z.literal("cosine"), minimum: z.number().min(0).default(0), warmupEpochs }).strict(),
  /** The square of the share of steps that are left, from the learning rate down to `minimum`. */
  z.object({ type: z.literal("square"), minimum: z.number().min(0).default(0), warmupEpochs }).strict(),
]);
export type ScheduleRecipe = z.infer<typeof scheduleRecipe>;

/** Whether the end of a cosine or square decay lies above its beginning. A plateau below its minimum stays where it is. */
function endsAbove(schedule: ScheduleRecipe, learningRate: number): boolean {
  return (schedule.type === "cosine" || schedule.type === "square") && schedule.minimum > learningRate;
}

export const trainingRecipe = z
  .object({
    epochs: z.int().positive().default(100),
    batchSize: z.int().positive().default(64),
    labelSmoothing: z.number().min(0).lt(1).default(0),
    optimizer: defaultType("adam", optimizerRecipe).prefault({}),
    schedule: defaultType("plateau", scheduleRecipe).prefault({}),
    /** Which epoch's weights become the head: best validation accuracy, least validation loss (the later on a tie), or the last. */
    keep: z.enum(["accuracy", "loss", "last"]).default("accuracy"),
    /** A last training on all images, validation included, for as many epochs as were kept, at the same rates. */
    refit: z.boolean().default(false),
    /** Writes the state of training after every epoch, so that a retry goes on from there; the best epoch's stays. */
    checkpoints: z.boolean().default(false),
  })
  .strict()
  .refine(({ epochs, schedule }) => schedule.warmupEpochs < epochs, {
    path: ["schedule", "warmupEpochs"],
    error:
      "a warm-up has fewer epochs than training.epochs; lower it with --set training.schedule.warmupEpochs=<n>, or train longer",
  })
  .refine(({ optimizer, schedule }) => !endsAbove(schedule, optimizer.learningRate), {
    path: ["schedule", "minimum"],
    error: "the rate that a schedule falls to is at most the optimizer's learningRate",
  });
export type TrainingRecipe = z.infer<typeof trainingRecipe>;

/** Where the label of an image comes from. */
export const labelSource = z.discriminatedUnion("type", [
  /** The first folder of its key. */
  z.object({ type: z.literal("folders") }).strict(),
  /** A table with a header: the image's file name without its extension (or its whole key), and its label. */
  z
    .object({
      type: z.literal("csv"),
      /** A path or location; null leaves it to `--labels`. */
      file: z.string().min(1).nullable().default(null),
      idColumn: z.string().min(1).default("id"),
      labelColumn: z.string().min(1).default("label"),
    })
    .strict(),
  /** A text file beside each image, with its name but for the extension: `<image>, <index or name of the class>`. */
  z.object({ type: z.literal("sidecar"), extension: z.string().startsWith(".").default(".txt") }).strict(),
]);
export type LabelSource = z.infer<typeof labelSource>;

const backboneReference = z
  .object({
    /** A name, or `name@hash12`. */
    name: z.string().min(1),
    /** What the backbone must have been imported with; null accepts any. */
    inputSize: z.int().positive().nullable().default(null),
    pooling: z.enum(["average", "max"]).nullable().default(null),
  })
  .strict();

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
        [
          z.enum(["backbone", "dataset"]),
          z.enum(Object.keys(namedNormalizations) as [keyof typeof namedNormalizations]),
          normalization,
        ],
        `legal are backbone, dataset, ${Object.keys(namedNormalizations).join(", ")}, or { mean: [r, g, b], deviation: [r, g, b] } in 0..255 units`,
      )
      .default("backbone"),
    views: viewsRecipe.prefault({}),
    labels: z
      .object({
        source: labelSource.prefault({ type: "folders" }),
        /** A path or location of a file of `name index` lines that fixes the order of the classes; null sorts them by name. */
        classes: z.string().min(1).nullable().default(null),
      })
      .strict()
      .prefault({}),
    validation: z
      .object({
        fraction: openFraction.default(0.1),
        /** Of each class's own images, or from every class as many as that share of the smallest one. */
        of: z.enum(["class", "smallest-class"]).default("class"),
      })
      .strict()
      .prefault({}),
    /** `null` leaves the embeddings as they are. */
    svd: svdRecipe.nullable().prefault({}),
    head: defaultType("se", headRecipe).prefault({}),
    training: trainingRecipe.prefault({}),
    /** What a scoring by this model writes unless it is told otherwise; `jsonl` is always written. */
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
    shardSize: z.int().min(1).max(4096).default(256),
    /** Type of the embeddings in the feature shards. */
    featureType: z.enum(["f16", "f32"]).default("f32"),
  })
  .strict();

/** A recipe with every default filled in. */
export type Recipe = z.infer<typeof recipe>;
/** What a person may write: defaults left out. */
export type RecipeInput = z.input<typeof recipe>;
