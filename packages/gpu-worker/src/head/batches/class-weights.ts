import { resolveClassWeights, type TrainingRecipe } from "@trommel/common";
import type { JoinedRows } from "../model/row-set.js";

/**
 * The weights of a training's rows by class, so that an epoch's rows weigh one in the mean. The mean of weight times
 * loss over an epoch is then the objective (1 / Σw) · Σ w · loss, and that of a batch an estimate of it without bias.
 * @param classNames as `resolveClassWeights` needs them
 * @returns undefined if all rows weigh the same
 */
export function batchClassWeights(
  { classWeights, sampling }: Pick<TrainingRecipe, "classWeights" | "sampling">,
  classNames: readonly string[] | undefined,
  { rows, classCount }: { readonly rows: JoinedRows; readonly classCount: number },
): Float64Array | undefined {
  if (classWeights === "none") return undefined;
  const counts = rows.classCounts(classCount);
  const weights = resolveClassWeights(classWeights, classNames, counts);
  return meanOneWeights(weights, sampling === "balanced" ? counts.map((count) => Math.sign(count)) : counts);
}

/**
 * The weights by which rows that each count once have the objective of an epoch, in expectation: balanced sampling gives every
 * class equally many rows, which is the weight `balanced`, and the recipe's class weights multiply it.
 * @param counts rows of each class
 */
export function expectedClassWeights(
  { classWeights, sampling }: Pick<TrainingRecipe, "classWeights" | "sampling">,
  classNames: readonly string[],
  counts: Float64Array,
): Float64Array {
  const weights = resolveClassWeights(classWeights, classNames, counts);
  if (sampling === "natural") return weights;
  const ofSampling = resolveClassWeights("balanced", classNames, counts);
  return weights.map((weight, index) => weight * (ofSampling[index] as number));
}

/** The weights divided by their mean over rows, of which each class has so many. */
export function meanOneWeights(weights: Float64Array, counts: Float64Array): Float64Array {
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const sum = weights.reduce((total, weight, index) => total + weight * (counts[index] as number), 0);
  return weights.map((weight) => (weight * rows) / sum);
}
