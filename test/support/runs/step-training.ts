import assert from "node:assert/strict";
import { trainingRecipe, type StepOptimizerRecipe, type TrainingRecipe } from "@trommel/common";

type StepTraining = TrainingRecipe & { readonly optimizer: StepOptimizerRecipe };

/** The training of an optimiser that steps, with defaults filled in. */
export function parseSteps(options: unknown): StepTraining {
  return stepsOf(trainingRecipe.parse(options));
}

export function stepsOf(training: TrainingRecipe): StepTraining {
  const { optimizer } = training;
  assert.ok(optimizer.type !== "lbfgs");
  return { ...training, optimizer };
}
