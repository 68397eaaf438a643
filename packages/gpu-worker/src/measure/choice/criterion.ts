import type { Groups } from "../groups.js";
import { confusionFigures, confusionOf } from "../classes.js";
import { recallInfluences, f1Influences } from "./influences.js";

/** What the choice among candidates goes by. */
export type Criterion = "logLoss" | "balancedAccuracy" | "macroF1";

/** What one candidate's out-of-fold predictions say of every image. */
export interface Outcome {
  /** Log loss of the true class. */
  readonly losses: Float64Array;
  readonly predicted: Int32Array;
}

export interface MeasuredOn {
  readonly labels: Int32Array;
  readonly classCount: number;
  /** How often each image counts, the same for all images of a group. @default 1 each */
  readonly weights?: Float64Array;
  readonly groups: Groups;
}

export interface Cost {
  /** The lower the better: the mean loss, or the figure with a minus. */
  readonly cost: number;
  /**
   * What each image adds to n · (cost − its expectation), to first order: the influence function (Hampel 1974). Weighted,
   * they sum to zero, and the variance of the cost is that of their mean.
   */
  influences(): Float64Array;
}

/** A candidate's cost by a criterion. */
export function costOf(criterion: Criterion, outcome: Outcome, on: MeasuredOn): Cost {
  if (criterion === "logLoss") {
    const cost = weightedMean(outcome.losses, on.weights);
    return { cost, influences: () => outcome.losses.map((loss) => loss - cost) };
  }
  const { labels, classCount, weights } = on;
  const confusion = confusionOf(outcome.predicted, labels, classCount, weights);
  const ofCell = criterion === "macroF1" ? f1Influences : recallInfluences;
  return {
    cost: -confusionFigures(confusion, classCount)[criterion],
    influences: () => {
      const table = ofCell(confusion, classCount);
      const influences = new Float64Array(labels.length);
      for (let row = 0; row < labels.length; row += 1) {
        const cell = (labels[row] as number) * classCount + (outcome.predicted[row] as number);
        influences[row] = -(table[cell] as number);
      }
      return influences;
    },
  };
}

/**
 * Standard error of the difference of two costs on the same images: with dᵢ the difference of the influences of image i,
 * G groups and n images, √(G/(G−1) · Σ_groups (Σ_images of the group dᵢ)²) / n. If every image is its own group and the
 * criterion is log loss, that is the standard deviation of the paired loss differences divided by √n.
 */
export function standardErrorOfDifference(one: Cost, other: Cost, { weights, groups }: MeasuredOn): number {
  const [ofOne, ofOther] = [one.influences(), other.influences()];
  const sums = new Float64Array(groups.count);
  const groupWeights = new Float64Array(groups.count);
  let images = 0;
  for (let row = 0; row < ofOne.length; row += 1) {
    const weight = weights === undefined ? 1 : (weights[row] as number);
    const group = groups.of[row] as number;
    images += weight;
    groupWeights[group] = weight;
    sums[group] = (sums[group] as number) + (ofOne[row] as number) - (ofOther[row] as number);
  }
  let count = 0;
  let squares = 0;
  for (let group = 0; group < groups.count; group += 1) {
    count += groupWeights[group] as number;
    squares += (groupWeights[group] as number) * (sums[group] as number) ** 2;
  }
  return count <= 1 ? 0 : Math.sqrt((count / (count - 1)) * squares) / images;
}

function weightedMean(values: Float64Array, weights: Float64Array | undefined): number {
  let sum = 0;
  let total = 0;
  for (let row = 0; row < values.length; row += 1) {
    const weight = weights === undefined ? 1 : (weights[row] as number);
    sum += weight * (values[row] as number);
    total += weight;
  }
  return sum / total;
}
