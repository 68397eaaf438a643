import { checkPredictions } from "../check-predictions.js";
import { chooseCandidate, type ChooseCandidateInput } from "../choice/choose-candidate.js";
import { numberGroups } from "../groups.js";
import { predictionsOf } from "../predictions.js";
import { rowsOf } from "../rows-of.js";
import { applyTemperature } from "../softmax.js";
import { crossFittedTemperatures, temperatureOfRows } from "../temperature.js";
import type { BootstrapOptions, BootstrappedFigures } from "./bootstrap-figures.js";
import { ChoiceDraws } from "./choice-draws.js";
import { defaultDraws } from "./draw-counts.js";
import { scalarsOf, type ScalarName } from "./drawn-figures.js";
import { figureColumns } from "./figure-columns.js";
import { defaultMostGroups, sampleGroups } from "./sample-groups.js";

export interface BootstrapIntervalsInput extends ChooseCandidateInput, BootstrapOptions {}

/** The figures that the choice can flatter. */
type ChosenFigure = Exclude<ScalarName, "expectedCalibrationError">;

export interface BootstrappedChoice extends BootstrappedFigures {
  /** The candidate that all images choose, as `chooseCandidate` does. */
  readonly chosen: number;
  /** In how many draws each candidate was chosen. */
  readonly chosenInDraws: readonly number[];
  /**
   * What the choice among the candidates adds to each figure of the chosen one, in the mean: what it adds in a draw, divided
   * by √2, since a draw's figures have twice the variance of those of all images, from the images and from the draw.
   */
  readonly optimism: Readonly<Record<ChosenFigure, number>>;
}

/**
 * 95 % intervals of the figures that out-of-fold predictions have after a choice among candidates.
 *
 * A draw takes images (or groups) with replacement, fits every candidate's cross-fitted temperatures on them, chooses a
 * candidate by the rule of `chooseCandidate` and measures it there. The images that the draw left out had no part in that
 * choice, so what the draw's figure is above theirs is what the choice flatters (Tsamardinos et al. 2018), and chance, which
 * the same difference of the candidate that all images choose takes out: its expectation is zero. The intervals are the
 * percentiles of the draws less the mean of what is left: the choice's optimism moves them, and its chance widens them.
 * Drawn calibration errors are centred as in `bootstrapFigures`.
 *
 * The heads are not trained again in a draw: what another training set would change is not in the intervals.
 * @throws TrommelError as `figures` does
 */
export function bootstrapIntervals(input: BootstrapIntervalsInput): BootstrappedChoice {
  const {
    candidates,
    labels,
    classCount,
    seed,
    draws = defaultDraws,
    mostGroups = defaultMostGroups,
  } = input;
  for (const logits of candidates) checkPredictions(logits, labels, classCount);
  const groups = numberGroups(labels.length, input.groupOf);
  const rows = sampleGroups(groups, mostGroups, seed);
  const part = new ChoiceDraws(rows === undefined ? input : sampleOf(input, rows));
  const { drawn, flattery, chosenInDraws } = part.run(draws, seed);
  drawn.move(flattery.map((value) => -value));
  drawn.centreCalibration(part.figures);
  let [chosen, scale] = [part.chosen, 1];
  if (rows !== undefined) {
    chosen = chooseCandidate(input).chosen;
    scale = Math.sqrt(mostGroups / groups.count);
    drawn.rescale(part.figures, scale, figuresOfCandidate(input, chosen));
  }
  return {
    intervals: drawn.intervals(),
    drawn: drawn.scalars(),
    chosen,
    chosenInDraws,
    optimism: scalarsOf((_, column) => (scale * (flattery[column] as number)) / Math.SQRT2),
  };
}

function sampleOf(input: ChooseCandidateInput, rows: Int32Array): ChooseCandidateInput {
  const { candidates, labels, classCount, foldOf, groupOf } = input;
  return {
    ...input,
    candidates: candidates.map((logits) => rowsOf(logits, rows, classCount)),
    labels: rowsOf(labels, rows),
    foldOf: rowsOf(foldOf, rows),
    ...(groupOf && { groupOf: rowsOf(groupOf, rows) }),
  };
}

/** Columns of a candidate's figures with cross-fitted temperatures. */
function figuresOfCandidate(input: ChooseCandidateInput, index: number): Float64Array {
  const { labels, classCount, foldOf, folds } = input;
  const logits = input.candidates[index] as Float64Array;
  const temperatures = crossFittedTemperatures(logits, labels, classCount, foldOf, folds);
  const ofRows = temperatureOfRows(temperatures, foldOf);
  return figureColumns(predictionsOf(applyTemperature(logits, classCount, ofRows), labels, classCount));
}
