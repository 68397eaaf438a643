import type { EpochRecord, TrainingRecipe } from "@trommel/common";
import { confusionFigures, confusionOf } from "../measure/classes.js";

/** The figures of a validation by which an epoch can be kept. */
export type ValidationFigures = Pick<
  EpochRecord,
  "validationAccuracy" | "validationLoss" | "validationBalancedAccuracy" | "validationMacroF1"
>;

/**
 * The figures that only some rules need: they are measured, and recorded, for these alone.
 * @param predicted gives the class of each validation row
 */
export function figuresOfRule(
  keep: TrainingRecipe["keep"],
  predicted: () => Int32Array,
  labels: Int32Array,
  classCount: number,
): Pick<ValidationFigures, "validationBalancedAccuracy" | "validationMacroF1"> {
  if (keep !== "balancedAccuracy" && keep !== "macroF1") return {};
  const figures = confusionFigures(confusionOf(predicted(), labels, classCount), classCount);
  return keep === "macroF1"
    ? { validationMacroF1: figures.macroF1 }
    : { validationBalancedAccuracy: figures.balancedAccuracy };
}

/** Whether an epoch replaces the best one before it. On a tie the later one is kept. */
export function keepsLater(
  keep: TrainingRecipe["keep"],
  later: ValidationFigures,
  best: ValidationFigures,
): boolean {
  switch (keep) {
    case "accuracy":
      return later.validationAccuracy >= best.validationAccuracy;
    case "balancedAccuracy":
      return (later.validationBalancedAccuracy ?? 0) >= (best.validationBalancedAccuracy ?? 0);
    case "macroF1":
      return (later.validationMacroF1 ?? 0) >= (best.validationMacroF1 ?? 0);
    case "loss":
      return later.validationLoss <= best.validationLoss;
    case "last":
      return true;
  }
}
