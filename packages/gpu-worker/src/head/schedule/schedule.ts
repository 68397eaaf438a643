import type { ScheduleRecipe } from "@trommel/common";
import { decayedRate } from "./decay.js";
import { PlateauRule } from "./plateau-rule.js";

/** A step of training: the rate is looked up before each. */
export interface ScheduleStep {
  /** From 1. */
  readonly epoch: number;
  /** From 0, within the epoch. */
  readonly step: number;
  readonly stepsPerEpoch: number;
}

/**
 * The learning rate from step to step. It depends on the share of the epochs that has gone by and on the validation losses
 * told, so that a training with more rows, and therefore more steps in an epoch, falls in the same way.
 */
export interface Schedule {
  learningRate(at: ScheduleStep): number;
  /** Told once after every epoch, in order; told the same losses again, a schedule is where the first one was. */
  epochEnded(validationLoss: number): void;
}

/**
 * All kinds begin with a warm-up where the recipe has one: in its step i of n the rate is learningRate · (i + 1) / n.
 * @param epochs of the whole training, for the kinds that fall to their end with it
 */
export function createSchedule(recipe: ScheduleRecipe, learningRate: number, epochs: number): Schedule {
  const { warmupEpochs } = recipe;
  const plateau = recipe.type === "plateau" ? new PlateauRule(recipe, learningRate) : undefined;
  let epochsEnded = 0;
  return {
    learningRate({ epoch, step, stepsPerEpoch }) {
      const at = (epoch - 1) * stepsPerEpoch + step;
      const warmupSteps = warmupEpochs * stepsPerEpoch;
      if (at < warmupSteps) return (learningRate * (at + 1)) / warmupSteps;
      if (recipe.type === "plateau") return plateau?.learningRate ?? learningRate;
      const share = (at - warmupSteps) / (epochs * stepsPerEpoch - warmupSteps);
      return decayedRate(recipe, learningRate, share);
    },
    epochEnded(validationLoss) {
      epochsEnded += 1;
      // The losses of the warm-up say nothing about the full rate.
      if (epochsEnded > warmupEpochs) plateau?.epochEnded(validationLoss);
    },
  };
}
