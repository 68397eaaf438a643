import { resolveClassWeights, type TrainingRecipe } from "@trommel/common";
import type { JoinedRows } from "../model/row-set.js";

/**
 * The weights of a training's rows by class, divided so that an epoch's rows weigh one in the mean. The mean of weight times
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
  const frequencies = sampling === "balanced" ? counts.map((count) => Math.sign(count)) : counts;
  const total = frequencies.reduce((sum, count) => sum + count, 0);
  const mean =
    weights.reduce((sum, weight, index) => sum + weight * (frequencies[index] as number), 0) / total;
  return weights.map((weight) => weight / mean);
}
