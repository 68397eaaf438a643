import { Moments } from "./moments.js";
import type { Optimizer, OptimizerState } from "./optimizer.js";

/** What every optimiser has: its recipe, and the step and the moments that another of its kind can go on from. */
export abstract class WeightOptimizer<Recipe> implements Optimizer {
  protected readonly recipe: Recipe;
  protected readonly moments: Moments;
  /** Steps taken; 1 in the first one. */
  protected step: number;

  constructor(recipe: Recipe, state?: OptimizerState) {
    this.recipe = recipe;
    this.moments = new Moments(state);
    this.step = state?.step ?? 0;
  }

  get state(): OptimizerState {
    return { step: this.step, moments: this.moments.all };
  }

  abstract apply(...step: Parameters<Optimizer["apply"]>): void;
}
