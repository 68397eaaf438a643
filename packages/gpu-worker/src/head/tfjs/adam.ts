import type { OptimizerRecipe } from "@trommel/common";
import { WeightOptimizer } from "./weight-optimizer.js";

type AdamRecipe = Extract<OptimizerRecipe, { type: "adam" }>;

/**
 * Adam (Kingma & Ba 2015) as Keras computes it: the step size is learningRate · √(1 − β₂ᵗ) / (1 − β₁ᵗ), and epsilon is added
 * to √v without correction (PyTorch adds it to the corrected root, which makes it larger by 1 / √(1 − β₂ᵗ)).
 */
export class Adam extends WeightOptimizer<AdamRecipe> {
  apply(
    weights: ReadonlyMap<string, Float32Array>,
    gradients: Readonly<Record<string, Float32Array>>,
    learningRate: number,
  ): void {
    this.step += 1;
    const { beta1, beta2, epsilon, weightDecay } = this.recipe;
    const stepSize = (learningRate * Math.sqrt(1 - beta2 ** this.step)) / (1 - beta1 ** this.step);
    for (const [name, weight] of weights) {
      const gradient = gradients[name] as Float32Array;
      const first = this.moments.of("first", name, weight.length);
      const second = this.moments.of("second", name, weight.length);
      for (let i = 0; i < weight.length; i += 1) {
        const slope = (gradient[i] as number) + weightDecay * (weight[i] as number);
        const m = beta1 * (first[i] as number) + (1 - beta1) * slope;
        const v = beta2 * (second[i] as number) + (1 - beta2) * slope * slope;
        first[i] = m;
        second[i] = v;
        weight[i] = (weight[i] as number) - (stepSize * m) / (Math.sqrt(v) + epsilon);
      }
    }
  }
}
