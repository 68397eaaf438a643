import { z } from "zod";
import { trainingRecipe } from "../../recipe/training-recipe.js";
import { measuredFigures } from "./choice.js";
import { contradictions } from "./contradictions.js";

/** What training and evaluation measured; `metrics.json` of a bundle. All on identity views, of the validation part but for `test`. */

const perClass = z
  .object({
    label: z.string(),
    /** Validation rows of this class. */
    support: z.int().nonnegative(),
    /** Null if nothing was predicted as this class. */
    precision: z.number().nullable(),
    /** Null if the class has no validation row. */
    recall: z.number().nullable(),
    f1: z.number(),
  })
  .strict();

export const evaluation = z
  .object({
    rows: z.int().nonnegative(),
    accuracy: z.number(),
    /** Unweighted mean of the per-class F1 over the classes that have validation rows. */
    macroF1: z.number(),
    /** Mean negative natural logarithm of the true class's probability, probabilities clipped at 1e-15. */
    logLoss: z.number(),
    perClass: z.array(perClass),
    /** confusion[i][j]: rows of true class i predicted as class j, in label order. */
    confusion: z.array(z.array(z.int().nonnegative())),
  })
  .strict();
export type Evaluation = z.infer<typeof evaluation>;

/**
 * The head that was measured: the final one or, if it was trained again on all images, the one before that, since then no
 * images are left to measure the final one on. `out-of-fold`: heads that never saw the image that they are measured on.
 */
export const measuredHead = z.enum(["head", "head-before-refit", "out-of-fold"]);

export const epochRecord = z
  .object({
    epoch: z.int().positive(),
    /** The rate of the epoch's last step. */
    learningRate: z.number(),
    trainLoss: z.number(),
    trainAccuracy: z.number(),
    validationLoss: z.number(),
    validationAccuracy: z.number(),
    /** Mean of the classes' recalls; recorded if the recipe keeps the epoch by it. */
    validationBalancedAccuracy: z.number().optional(),
    /** Recorded if the recipe keeps the epoch by it. */
    validationMacroF1: z.number().optional(),
  })
  .strict();
export type EpochRecord = z.infer<typeof epochRecord>;

export const metrics = evaluation.extend({
  measured: measuredHead,
  /** The same figures and more with their 95 % intervals; null in what earlier versions wrote. */
  validation: measuredFigures.nullable().default(null),
  /**
   * The same for each fifth of the validation part with the epoch that the other four fifths choose; null where no epoch was
   * chosen.
   */
  chosenApart: measuredFigures.nullable().default(null),
  /** The figures of the test part, on which nothing was fitted or chosen, with the final head; null without one. */
  test: measuredFigures.nullable().default(null),
  /** What was chosen on the validation part, and so whether its figures flatter, in a sentence. */
  chosenBy: z.string().default(""),
  /** What else a person should know of the figures, in sentences. */
  notes: z.array(z.string()).default([]),
  /** Images with the same bytes and different labels; null without any. */
  contradictions: contradictions.nullable().default(null),
  /** How the head was trained: optimiser, schedule, and which epoch is kept. */
  training: trainingRecipe,
  /** The epoch that was kept. */
  bestEpoch: z.int().positive(),
  history: z.array(epochRecord),
  /** The last training on all images; null where the recipe has none. */
  refit: z
    .object({
      /** Rows it was trained on, views and all. */
      rows: z.int().positive(),
      history: z.array(
        epochRecord.omit({
          validationLoss: true,
          validationAccuracy: true,
          validationBalancedAccuracy: true,
          validationMacroF1: true,
        }),
      ),
    })
    .strict()
    .nullable(),
});
export type Metrics = z.infer<typeof metrics>;
