import type { OptimizerRecipe } from "@trommel/common";
import { WeightOptimizer } from "./weight-optimizer.js";

type SgdRecipe = Extract<OptimizerRecipe, { type: "sgd" }>;

/**
 * Stochastic gradient descent with momentum as PyTorch and MindSpore compute it: v = momentum · v + g, w −= rate · v; with
 * Nesterov's form w −= rate · (g + momentum · v). Keras puts the rate into v instead (v = momentum · v − rate · g),
 * which differs where the rate changes: there an old step keeps its old rate.
 */
export class Sgd extends WeightOptimizer<SgdRecipe> {
  apply(
    weights: ReadonlyMap<string, Float32Array>,
    gradients: Readonly<Record<string, Float32Array>>,
    learningRate: number,
  ): void {
    this.step += 1;
    const { momentum, nesterov, weightDecay } = this.recipe;
    for (const [name, weight] of weights) {
      const gradient = gradients[name] as Float32Array;
      const velocity = this.moments.of("velocity", name, weight.length);
      for (let i = 0; i < weight.length; i += 1) {
        const slope = (gradient[i] as number) + weightDecay * (weight[i] as number);
        const v = momentum * (velocity[i] as number) + slope;
        velocity[i] = v;
        weight[i] = (weight[i] as number) - learningRate * (nesterov ? slope + momentum * v : v);
      }
    }
  }
}
