import type { EvaluatedFigures } from "@trommel/common/artefacts";
import { bootstrapPredictions, type BootstrappedFigures } from "../measure/bootstrap/bootstrap-figures.js";
import { figuresOf } from "../measure/figures.js";
import { measuredFigures } from "../measure/measured-figures.js";
import type { Predictions } from "../measure/predictions.js";
import { lossOf } from "../measure/softmax.js";
import type { LabelledAnswer } from "./answers.js";

export interface MeasuredAnswers {
  readonly figures: EvaluatedFigures;
  /** The classes of `figures.confusion`: those given, then what else was predicted. */
  readonly labels: readonly string[];
  readonly drawn: BootstrappedFigures["drawn"];
}

/** Draws for a model and its rival are the same ones, so that their differences are of the same images. */
const seed = 0;

/**
 * The figures of answers with 95 % intervals. What a model calls unknown is a predicted class without images: it counts as
 * wrong. Calibration is that of the likeliest class, whatever the image was called.
 * @param answers at least one
 * @param classes that images may have
 */
export function measureAnswers(
  answers: readonly LabelledAnswer[],
  classes: readonly string[],
): MeasuredAnswers {
  const { predictions, labels } = predictionsOfAnswers(answers, classes);
  const { intervals, drawn } = bootstrapPredictions(predictions, { seed });
  const measured = measuredFigures(figuresOf(predictions), intervals, labels);
  const figures: EvaluatedFigures = {
    ...measured,
    logLoss: withoutProbability(answers) > 0 ? null : measured.logLoss,
    perClass: measured.perClass.slice(0, classes.length),
  };
  return { figures, labels, drawn };
}

/** Images whose row does not hold the probability of their class. */
export function withoutProbability(answers: readonly LabelledAnswer[]): number {
  return answers.filter(({ probabilityOfLabel }) => probabilityOfLabel === null).length;
}

function predictionsOfAnswers(
  answers: readonly LabelledAnswer[],
  classes: readonly string[],
): { predictions: Predictions; labels: string[] } {
  const index = new Map(classes.map((name, at) => [name, at]));
  for (const { predicted } of answers) if (!index.has(predicted)) index.set(predicted, index.size);
  const indexOf = (name: string): number => index.get(name) ?? 0;
  return {
    labels: [...index.keys()],
    predictions: {
      labels: Int32Array.from(answers, ({ label }) => indexOf(label)),
      classCount: index.size,
      predicted: Int32Array.from(answers, ({ predicted }) => indexOf(predicted)),
      hits: Uint8Array.from(answers, ({ likeliest, label }) => (likeliest === label ? 1 : 0)),
      confidences: Float64Array.from(answers, ({ probability }) => probability),
      losses: Float64Array.from(answers, ({ probabilityOfLabel }) => lossOf(probabilityOfLabel ?? 1)),
    },
  };
}
