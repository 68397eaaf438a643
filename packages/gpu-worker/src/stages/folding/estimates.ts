import type { Choice, MeasuredFigures, Mistake } from "@trommel/common/artefacts";
import type { AutoHead, CandidateRecipe } from "@trommel/common/recipe";
import { bootstrapFigures } from "../../measure/bootstrap/bootstrap-figures.js";
import { bootstrapIntervals } from "../../measure/bootstrap/bootstrap-intervals.js";
import { figures, type Figures } from "../../measure/figures.js";
import { measuredFigures } from "../../measure/measured-figures.js";
import { predictionsOf, type Predictions } from "../../measure/predictions.js";
import { applyTemperature } from "../../measure/softmax.js";
import {
  crossFittedTemperatures,
  fitTemperature,
  isTemperatureDetermined,
  temperatureOfRows,
} from "../../measure/temperature.js";
import { worstMistakes } from "../../measure/worst-mistakes.js";
import type { OutOfFold } from "./out-of-fold.js";

/** What was chosen, and how good it is on images that chose nothing of it. */
export interface Chosen {
  readonly candidate: CandidateRecipe;
  readonly at: OutOfFold["at"];
  /** Fitted on all out-of-fold logits: the bundle has it, and nothing is measured with it. */
  readonly temperature: number;
  readonly figures: MeasuredFigures;
  /** The predicted class of each image, with those probabilities. */
  readonly predicted: Predictions;
  /** The worst mistakes, with the row of their images. */
  readonly mistakes: readonly (Omit<Mistake, "key"> & { readonly row: number })[];
  /** [images, classes], each fold's at the temperature that was fitted on the others. */
  readonly probabilities: Float64Array;
  /** What the image alone comes to, if views are averaged. */
  readonly alone: Choice["alone"];
  readonly candidates: Choice["candidates"];
  /** What chose the model. */
  readonly sentence: string;
  /** What a person should know of the temperature. */
  readonly notes: readonly string[];
}

export interface FoldedPredictions {
  /** Simplest first. */
  readonly choices: readonly OutOfFold[];
  readonly labels: Int32Array;
  readonly classNames: readonly string[];
  readonly foldOf: Int32Array;
  readonly folds: number;
  /** Images with the same bytes or of one group have the same number. */
  readonly groupOf: Int32Array;
  readonly by: AutoHead["choose"];
  readonly seed: number;
  /** The images that choose, in words. */
  readonly chosenOn: string;
}

/**
 * Chooses among candidates and measures the choice: every figure at temperatures that were fitted on the other folds, and
 * intervals in whose draws the choice and the temperatures are made again.
 */
export function chooseAndMeasure(predictions: FoldedPredictions): Chosen {
  const { choices, labels, classNames, foldOf, folds, groupOf, by, seed } = predictions;
  const classCount = classNames.length;
  const candidates = choices.map(({ logits }) => logits);
  const probabilitiesOf = (logits: Float64Array): Float64Array => {
    const temperatures = crossFittedTemperatures(logits, labels, classCount, foldOf, folds);
    return applyTemperature(logits, classCount, temperatureOfRows(temperatures, foldOf));
  };
  const measure = (logits: Float64Array): Figures => figures(probabilitiesOf(logits), labels, classCount);
  const measured = candidates.map(measure);
  const input = { candidates, labels, classCount, foldOf, folds, groupOf, criterion: by, seed };
  const { chosen, intervals } = bootstrapIntervals(input);
  const { candidate, at, penalty, logits, alone } = choices[chosen] as OutOfFold;
  const probabilities = probabilitiesOf(logits);
  const predicted = predictionsOf(probabilities, labels, classCount);
  const temperature = fitTemperature(logits, labels, classCount);
  const isDetermined = isTemperatureDetermined(logits, labels, classCount);
  const ofAlone = alone === undefined ? null : measure(alone);
  return {
    candidate,
    at,
    temperature,
    probabilities,
    predicted,
    figures: measuredFigures(measured[chosen] as Figures, intervals, classNames),
    mistakes: worstMistakes(predicted).map((row) => ({
      row,
      label: classNames[labels[row] as number] ?? "",
      predicted: classNames[predicted.predicted[row] as number] ?? "",
      probability: predicted.confidences[row] as number,
    })),
    alone: ofAlone === null ? null : { accuracy: ofAlone.accuracy, logLoss: ofAlone.logLoss },
    candidates: choices.map((choice, index) =>
      describeCandidate(choice, measured[index] as Figures, index === chosen),
    ),
    notes: isDetermined ? [] : [undeterminedNote(temperature, predicted)],
    sentence: sentenceOf({ candidate, penalty, by, tried: choices.length, chosenOn: predictions.chosenOn }),
  };
}

function describeCandidate(
  { candidate, penalty, repeats }: OutOfFold,
  { accuracy, balancedAccuracy, macroF1, logLoss }: Figures,
  chosen: boolean,
): Choice["candidates"][number] {
  return { name: candidate.name, penalty, repeats, accuracy, balancedAccuracy, macroF1, logLoss, chosen };
}

const criteria = {
  logLoss: "log loss",
  balancedAccuracy: "balanced accuracy",
  macroF1: "macro F1",
} as const;

function sentenceOf(of: {
  readonly candidate: CandidateRecipe;
  readonly penalty: number | null;
  readonly by: AutoHead["choose"];
  readonly tried: number;
  readonly chosenOn: string;
}): string {
  const name = of.penalty === null ? of.candidate.name : `${of.candidate.name} with penalty ${of.penalty}`;
  if (of.tried === 1) return `${name} was the only candidate, so nothing was chosen.`;
  return `${name} was chosen among ${of.tried} candidates: the simplest whose ${criteria[of.by]} on ${of.chosenOn} is within one standard error of the best.`;
}

function undeterminedNote(temperature: number, { predicted, labels }: Predictions): string {
  const wrong = predicted.reduce((sum, answer, row) => sum + (answer === labels[row] ? 0 : 1), 0);
  return `The out-of-fold answers do not say how sure the model may be (${wrong} of ${labels.length} are wrong): its temperature, ${temperature.toFixed(2)}, follows from a weak prior around 1. Check its probabilities on other images (trommel evaluate).`;
}

/** The figures of a part on which nothing was fitted or chosen, with the temperature of the bundle. */
export function measureTest(test: {
  /** [images, classes], averaged over the heads. */
  readonly logits: Float64Array;
  readonly temperature: number;
  readonly labels: Int32Array;
  readonly classNames: readonly string[];
  readonly groupOf: Int32Array;
  readonly seed: number;
}): MeasuredFigures {
  const { logits, temperature, labels, classNames, groupOf, seed } = test;
  const classCount = classNames.length;
  const probabilities = applyTemperature(logits, classCount, temperature);
  const { intervals } = bootstrapFigures(probabilities, labels, classCount, { seed, groupOf });
  return measuredFigures(figures(probabilities, labels, classCount), intervals, classNames);
}

/** A point of the learning curve. @param logits [images, classes] */
export function accuracyOf(logits: Float64Array, labels: Int32Array): number {
  const classCount = logits.length / labels.length;
  return figures(applyTemperature(logits, classCount), labels, classCount).accuracy;
}
