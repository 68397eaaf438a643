import type { EpochRecord, TrainingRecipe } from "@trommel/common";

type Measured = Pick<EpochRecord, "validationAccuracy" | "validationLoss">;

/** Whether an epoch takes the place of the best one before it: a tie goes to the later. */
export function keepsLater(keep: TrainingRecipe["keep"], later: Measured, best: Measured): boolean {
  switch (keep) {
    case "accuracy":
      return later.validationAccuracy >= best.validationAccuracy;
    case "loss":
      return later.validationLoss <= best.validationLoss;
    case "last":
      return true;
  }
}
