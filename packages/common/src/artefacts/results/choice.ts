import { z } from "zod";
import { contradictions } from "./contradictions.js";
import { headRecipe } from "../../recipe/head-recipe.js";
import { grouping } from "../shards/listing.js";
import { thresholds } from "./thresholds.js";

/**
 * What a run with `head: auto` chose, and how good it is: `choice.json` of the run and `metrics.json` of its bundle. No figure
 * here was chosen, fitted or calibrated on the images that it was measured on.
 */

/** A figure with its 95 % interval, by bootstrap over images. */
export const estimate = z.object({ value: z.number(), low: z.number(), high: z.number() }).strict();
/** A figure with its 95 % interval. */
export type Estimate = z.infer<typeof estimate>;

export const measuredFigures = z
  .object({
    images: z.int().positive(),
    accuracy: estimate,
    /** Mean of the recalls of the classes that have images. */
    balancedAccuracy: estimate,
    /** Mean of the F1 of the classes that have images. */
    macroF1: estimate,
    /** Mean negative natural logarithm of the true class's probability, clipped at 1e-15. */
    logLoss: estimate,
    /** The largest probability against how often it is right, over 15 bins of equal mass. */
    expectedCalibrationError: estimate,
    perClass: z.array(
      z
        .object({
          label: z.string(),
          /** Images of this class. */
          support: z.int().nonnegative(),
          /** Null if nothing was predicted as this class. */
          precision: estimate.nullable(),
          /** Null if the class has no image. */
          recall: estimate.nullable(),
        })
        .strict(),
    ),
    /** confusion[i][j]: images of true class i predicted as class j. */
    confusion: z.array(z.array(z.number().nonnegative())),
    /** Images in order of their largest probability, in bins of equal mass. */
    reliability: z.array(
      z.object({ images: z.number(), confidence: z.number(), accuracy: z.number() }).strict(),
    ),
  })
  .strict();
/** How good predictions are of images that chose nothing of what made them. */
export type MeasuredFigures = z.infer<typeof measuredFigures>;

/** An image that was taken for another class. */
export const mistake = z
  .object({
    key: z.string(),
    label: z.string(),
    predicted: z.string(),
    /** The predicted class's. */
    probability: z.number(),
  })
  .strict();
export type Mistake = z.infer<typeof mistake>;

export const choice = z
  .object({
    formatVersion: z.literal(1),
    /** In output order. */
    labels: z.array(z.string()).min(2),
    /** 1 for a run that tunes its backbone: the images of one part are predicted, and `outOfFold` are their figures. */
    folds: z.int().min(1),
    /** Every candidate's out-of-fold figures, each at its cross-fitted temperature, simplest first. */
    candidates: z.array(
      z
        .object({
          name: z.string(),
          /** The L2 penalty of a linear candidate. */
          penalty: z.number().nullable(),
          /** Divisions into folds that it was trained on: an image's logits are the mean of so many heads that never saw it. */
          repeats: z.int().positive().default(1),
          accuracy: z.number(),
          balancedAccuracy: z.number(),
          macroF1: z.number(),
          logLoss: z.number(),
          chosen: z.boolean(),
        })
        .strict(),
    ),
    /** The chosen candidate's head, and whether the bundle holds those of all folds or one that was trained on all images. */
    head: headRecipe,
    heads: z.enum(["folds", "refit"]),
    temperature: z.number().positive(),
    outOfFold: measuredFigures,
    /** What the image alone comes to, out of fold, where the model averages over it and flips of it; null where it does not. */
    alone: z.object({ accuracy: z.number(), logLoss: z.number() }).strict().nullable(),
    /** The figures of the test part; null without one. */
    test: measuredFigures.nullable(),
    learningCurve: z
      .object({
        candidate: z.string(),
        /** `images` trained on, on average over the folds. */
        points: z.array(z.object({ share: z.number(), images: z.number(), accuracy: z.number() }).strict()),
        /** Would more photographs help. */
        sentence: z.string(),
      })
      .strict()
      .nullable(),
    /** Out of fold, those with the highest probability of the wrong class first: as many as the report shows. */
    mistakes: z.array(mistake).default([]),
    /** From which probability on an answer is right often enough. */
    thresholds: thresholds.nullable().default(null),
    /** How unlike the training images those of the test part are; null without one, or without statistics of novelty. */
    testNovelty: z.object({ above: z.number(), share: z.number() }).strict().nullable().default(null),
    /** What grouped the images; null if nothing did. */
    grouping: grouping.nullable().default(null),
    /** Images with the same bytes and different labels; null without any. */
    contradictions: contradictions.nullable().default(null),
    /** What chose the model, in a sentence. */
    chosenBy: z.string(),
    notes: z.array(z.string()),
  })
  .strict();
/** What a run with `head: auto` chose, and how good it is. */
export type Choice = z.infer<typeof choice>;
