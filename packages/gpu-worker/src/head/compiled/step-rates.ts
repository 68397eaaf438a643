import type { StepOptimizerRecipe } from "@trommel/common";
import { NadamMomentum } from "../nadam-momentum.js";

/** What a compiled optimiser needs for each step besides weights and gradients, in the order of its graph's rate inputs. */
export type StepRates = readonly number[];

/** How many rates a step of that optimiser has. */
export function rateCount({ type }: StepOptimizerRecipe): number {
  return type === "nadam" || type === "adamw" ? 3 : 1;
}

/**
 * The rates from step to step, in float64. Moments are kept divided by (1 − β) inside the graph (see `emit-optimizer.ts`),
 * and the square root of the second one's factor is taken out of the denominator: hence the (1 − β) here.
 * @param stepsTaken before the first call
 */
export function createStepRates(
  recipe: StepOptimizerRecipe,
  stepsTaken: number,
): (learningRate: number) => StepRates {
  let step = stepsTaken;
  switch (recipe.type) {
    case "adam": {
      const { beta1, beta2 } = recipe;
      const scale = (1 - beta1) / Math.sqrt(1 - beta2);
      return (learningRate) => {
        step += 1;
        return [(scale * learningRate * Math.sqrt(1 - beta2 ** step)) / (1 - beta1 ** step)];
      };
    }
    case "adamw": {
      const { beta1, beta2, epsilon, weightDecay } = recipe;
      return (learningRate) => {
        step += 1;
        const root = Math.sqrt((1 - beta2) / (1 - beta2 ** step));
        const rate = (learningRate * (1 - beta1)) / (1 - beta1 ** step) / root;
        return [rate, epsilon / root, 1 - learningRate * weightDecay];
      };
    }
    case "nadam": {
      const { beta1, beta2, epsilon } = recipe;
      const momentum = new NadamMomentum(recipe, stepsTaken);
      return (learningRate) => {
        step += 1;
        const { gradientShare, momentShare } = momentum.next();
        const root = Math.sqrt((1 - beta2) / (1 - beta2 ** step));
        return [
          (learningRate * gradientShare) / root,
          (learningRate * momentShare * (1 - beta1)) / root,
          epsilon / root,
        ];
      };
    }
    case "sgd":
      return (learningRate) => [learningRate];
  }
}
