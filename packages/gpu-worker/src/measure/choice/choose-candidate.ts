import { checkPredictions } from "../check-predictions.js";
import { predictedClasses } from "../classes.js";
import { numberGroups } from "../groups.js";
import { applyTemperature, rowLosses } from "../softmax.js";
import { crossFittedTemperatures, temperatureOfRows } from "../temperature.js";
import {
  costOf,
  standardErrorOfDifference,
  type Cost,
  type Criterion,
  type MeasuredOn,
  type Outcome,
} from "./criterion.js";

export interface ChooseCandidateInput {
  /** Out-of-fold logits of each candidate, [images, classCount], the simplest candidate first. */
  readonly candidates: readonly Float64Array[];
  readonly labels: Int32Array;
  readonly classCount: number;
  /** The fold of each image, from 0 to `folds` − 1. */
  readonly foldOf: Int32Array;
  readonly folds: number;
  /** The group of each image. @default every image is its own group */
  readonly groupOf?: Int32Array;
  /** @default "logLoss" */
  readonly criterion?: Criterion;
}

export interface CandidateStanding {
  /** The candidate's figure by the criterion; log loss with cross-fitted temperatures. */
  readonly value: number;
  /** How much worse the figure is than the best candidate's. */
  readonly behind: number;
  /** Standard error of `behind`. */
  readonly standardError: number;
}

export interface Choice {
  /** Index of the simplest candidate that is at most one standard error behind the best. */
  readonly chosen: number;
  readonly best: number;
  readonly candidates: readonly CandidateStanding[];
}

/**
 * Chooses among candidates by their out-of-fold predictions: the simplest one that is at most one standard error of the
 * difference behind the best (Breiman et al. 1984, 3.4.3; paired). Log loss is measured with a temperature that was
 * fitted on the other folds; balanced accuracy and macro F1 do not depend on the temperature.
 * @throws TrommelError as `figures` does
 */
export function chooseCandidate(input: ChooseCandidateInput): Choice {
  const { candidates, labels, classCount, foldOf, folds, criterion = "logLoss" } = input;
  const outcomes = candidates.map((logits): Outcome => {
    checkPredictions(logits, labels, classCount);
    const temperatures = crossFittedTemperatures(logits, labels, classCount, foldOf, folds);
    const ofRow = temperatureOfRows(temperatures, foldOf);
    return {
      losses: rowLosses(applyTemperature(logits, classCount, ofRow), labels, classCount),
      predicted: predictedClasses(logits, classCount),
    };
  });
  const groups = numberGroups(labels.length, input.groupOf);
  return chooseOutcome(outcomes, criterion, { labels, classCount, groups });
}

/** The choice among candidates whose outcomes are known. */
function chooseOutcome(outcomes: readonly Outcome[], criterion: Criterion, on: MeasuredOn): Choice {
  const costs = outcomes.map((outcome) => costOf(criterion, outcome, on));
  const best = lowest(costs);
  const { cost: bestCost } = costs[best] as Cost;
  return {
    chosen: simplest(costs, best, on),
    best,
    candidates: costs.map((cost) => ({
      value: criterion === "logLoss" ? cost.cost : -cost.cost,
      behind: cost.cost - bestCost,
      standardError: standardErrorOfDifference(cost, costs[best] as Cost, on),
    })),
  };
}

/** The index alone: standard errors are computed only up to the candidate that is chosen. */
export function chosenOutcome(outcomes: readonly Outcome[], criterion: Criterion, on: MeasuredOn): number {
  const costs = outcomes.map((outcome) => costOf(criterion, outcome, on));
  return simplest(costs, lowest(costs), on);
}

function lowest(costs: readonly Cost[]): number {
  let best = 0;
  for (const [index, { cost }] of costs.entries()) if (cost < (costs[best] as Cost).cost) best = index;
  return best;
}

function simplest(costs: readonly Cost[], best: number, on: MeasuredOn): number {
  const bestCost = costs[best] as Cost;
  return costs.findIndex((cost, index) => {
    return index === best || cost.cost - bestCost.cost <= standardErrorOfDifference(cost, bestCost, on);
  });
}
