import type { OptimizerRecipe } from "@trommel/common";
import { Adam } from "./adam.js";
import { Nadam } from "./nadam.js";
import type { Optimizer, OptimizerState } from "./optimizer.js";
import { Sgd } from "./sgd.js";

/** @param state where another of the same recipe stopped; it is taken over, not copied */
export function createOptimizer(recipe: OptimizerRecipe, state?: OptimizerState): Optimizer {
  switch (recipe.type) {
    case "adam":
      return new Adam(recipe, state);
    case "nadam":
      return new Nadam(recipe, state);
    case "sgd":
      return new Sgd(recipe, state);
  }
}
