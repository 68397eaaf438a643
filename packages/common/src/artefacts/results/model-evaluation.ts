import { z } from "zod";
import { sha256 } from "../backbones/backbone-spec.js";
import { estimate, measuredFigures, mistake } from "./choice.js";

/** How good a model is on labelled images: `evaluation.json`, and a line of `evaluation.jsonl` for each of them. */

/** File names inside an evaluation's folder. */
export const evaluationFiles = {
  /** Written last: with its marker the evaluation is whole. */
  evaluation: "evaluation.json",
  rows: "evaluation.jsonl",
  report: "evaluation.html",
  /** Labels by key, where folders do not tell them. */
  labels: "labels.json",
} as const;

const model = z.object({ location: z.string(), modelSha256: sha256 }).strict();

const evaluated = measuredFigures.extend({
  /** Null if the scores do not hold the probability of every true class. */
  logLoss: estimate.nullable(),
});
/** The figures of an evaluation. */
export type EvaluatedFigures = z.infer<typeof evaluated>;

const difference = estimate.nullable();

const comparison = z
  .object({
    model,
    /** Location of the second model's scores. */
    scores: z.string(),
    /** The figures of both, on the images that both have scored and whose label both know. */
    first: evaluated,
    second: evaluated,
    /** What the second's figures are above the first's; null where one of them is. */
    difference: z
      .object({
        accuracy: difference,
        balancedAccuracy: difference,
        macroF1: difference,
        logLoss: difference,
        expectedCalibrationError: difference,
      })
      .strict(),
    bothRight: z.int().nonnegative(),
    onlyFirstRight: z.int().nonnegative(),
    onlySecondRight: z.int().nonnegative(),
    bothWrong: z.int().nonnegative(),
    /** McNemar's test: how probable at least so uneven a division is if both err equally often. */
    test: z.object({ pValue: z.number(), method: z.enum(["exact", "chi-square"]) }).strict(),
    /** Images on which only one of them is right: the first of them in listing order. */
    changed: z.array(
      z.object({ key: z.string(), label: z.string(), first: z.string(), second: z.string() }).strict(),
    ),
  })
  .strict();
export type Comparison = z.infer<typeof comparison>;

export const modelEvaluation = z
  .object({
    formatVersion: z.literal(1),
    model,
    /** Location of the images. */
    source: z.string(),
    /** Location of the scores. */
    scores: z.string(),
    /** The model's classes in output order; then `unknown`, if rows were labelled so. */
    labels: z.array(z.string()).min(2),
    figures: evaluated,
    /** Images that the model called unknown. They count as wrong. */
    unknown: z.int().nonnegative(),
    /** What has no part in the figures. */
    leftOut: z
      .object({
        /** Scored images without a label. */
        unlabelled: z.int().nonnegative(),
        /** Scored images whose label is no class of the model, by label. */
        otherLabels: z.array(z.object({ label: z.string(), images: z.int().positive() }).strict()),
        /** Labelled images that have no score. */
        notScored: z.int().nonnegative(),
      })
      .strict(),
    /** Those with the highest probability of the wrong class first: as many as the report shows. */
    mistakes: z.array(mistake),
    comparison: comparison.nullable(),
    /** What a reader must know, in sentences. */
    notes: z.array(z.string()),
  })
  .strict();
export type ModelEvaluation = z.infer<typeof modelEvaluation>;

/** What a model says of an image. */
export interface EvaluatedAnswer {
  readonly predicted: string;
  /** The predicted class's. */
  readonly probability: number;
  /** Null if the scores do not hold it. */
  readonly probabilityOfLabel: number | null;
  readonly correct: boolean;
}

/** A line of `evaluation.jsonl`. */
export interface EvaluationRow extends EvaluatedAnswer {
  readonly key: string;
  readonly label: string;
  /** What the second model says, null if it has no score of the image; absent without one. */
  other?: EvaluatedAnswer | null | undefined;
}

/** The figures that a bound may be set for, as users name them; from the rest, whether the bound is a lower one. */
export const boundedFigures = {
  accuracy: { figure: "accuracy", atLeast: true },
  balancedAccuracy: { figure: "balancedAccuracy", atLeast: true },
  macroF1: { figure: "macroF1", atLeast: true },
  logLoss: { figure: "logLoss", atLeast: false },
  calibrationError: { figure: "expectedCalibrationError", atLeast: false },
} as const;
export type BoundedFigure = keyof typeof boundedFigures;
