import type { ScheduleRecipe } from "@trommel/common";

/** A step of training: the rate is looked up before each. */
export interface ScheduleStep {
  /** From 1. */
  readonly epoch: number;
  /** From 0, within the epoch. */
  readonly step: number;
  readonly stepsPerEpoch: number;
}

/**
 * The learning rate from step to step. It depends only on the share of the epochs that is over and on the reported
 * validation losses, so that a training with more rows, and therefore more steps per epoch, follows the same curve.
 */
export interface Schedule {
  learningRate(at: ScheduleStep): number;
  /** Called once after every epoch, in order. A new schedule that receives the same losses reaches the same state. */
  epochEnded(validationLoss: number): void;
}

/**
 * Every kind can begin with a warm-up: in its step i of n the rate is learningRate · (i + 1) / n.
 * @param epochs the length of the whole training; `cosine` and `square` reach their minimum at its end
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

type PlateauRecipe = Extract<ScheduleRecipe, { type: "plateau" }>;

/** Smaller improvements of the loss do not count; Keras's default. */
const minDelta = 1e-4;

/** The learning rate from epoch to epoch, by the rule of Keras's ReduceLROnPlateau on the validation loss, without cooldown. */
class PlateauRule {
  readonly #recipe: PlateauRecipe;
  #learningRate: number;
  #best = Number.POSITIVE_INFINITY;
  #wait = 0;

  constructor(recipe: PlateauRecipe, learningRate: number) {
    this.#recipe = recipe;
    this.#learningRate = learningRate;
  }

  /** The rate of the next epoch. */
  get learningRate(): number {
    return this.#learningRate;
  }

  epochEnded(validationLoss: number): void {
    if (validationLoss < this.#best - minDelta) {
      this.#best = validationLoss;
      this.#wait = 0;
      return;
    }
    this.#wait += 1;
    if (this.#wait < this.#recipe.patience || this.#learningRate <= this.#recipe.minimum) return;
    this.#learningRate = Math.max(this.#learningRate * this.#recipe.factor, this.#recipe.minimum);
    this.#wait = 0;
  }
}

type DecayRecipe = Extract<ScheduleRecipe, { type: "constant" | "cosine" | "square" }>;

/**
 * The rate after a share of the steps, 0 up to but not including 1, as MindSpore's published `build_lr` scripts compute it.
 * Cosine: Loshchilov & Hutter (2017), without restarts.
 */
function decayedRate(recipe: DecayRecipe, learningRate: number, share: number): number {
  switch (recipe.type) {
    case "constant":
      return learningRate;
    case "cosine":
      return (learningRate - recipe.minimum) * 0.5 * (1 + Math.cos(Math.PI * share)) + recipe.minimum;
    case "square":
      return (learningRate - recipe.minimum) * (1 - share) ** 2 + recipe.minimum;
  }
}
