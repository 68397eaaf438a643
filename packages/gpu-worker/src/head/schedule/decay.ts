import type { ScheduleRecipe } from "@trommel/common";

type DecayRecipe = Extract<ScheduleRecipe, { type: "constant" | "cosine" | "square" }>;

/**
 * The rate after a share of the steps, 0 up to but not including 1, as MindSpore's published `build_lr` scripts compute it.
 * Cosine: Loshchilov & Hutter (2017), without restarts.
 */
export function decayedRate(recipe: DecayRecipe, learningRate: number, share: number): number {
  switch (recipe.type) {
    case "constant":
      return learningRate;
    case "cosine":
      return (learningRate - recipe.minimum) * 0.5 * (1 + Math.cos(Math.PI * share)) + recipe.minimum;
    case "square":
      return (learningRate - recipe.minimum) * (1 - share) ** 2 + recipe.minimum;
  }
}
