import type { OptimizerRecipe } from "@trommel/common";
import { NadamMomentum } from "../compiled/nadam-momentum.js";
import type { OptimizerState } from "./optimizer.js";
import { WeightOptimizer } from "./weight-optimizer.js";

type NadamRecipe = Extract<OptimizerRecipe, { type: "nadam" }>;

/**
 * Nadam (Dozat 2016) as `keras.optimizers.Nadam` of Keras 2.2 computes it; `torch.optim.NAdam` has the same formula with
 * the schedule decay as `momentum_decay`, but in PyTorch 1.13 counts μ(t) twice in M(t+1). The momentum is warmed up:
 *
 *     μ(t) = β₁ · (1 − ½ · 0.96^(t · scheduleDecay)),   M(t) = μ(1) · … · μ(t)
 *     w −= learningRate · ((1 − μ(t)) · g / (1 − M(t)) + μ(t+1) · m / (1 − M(t+1))) / (√(v / (1 − β₂ᵗ)) + ε)
 */
export class Nadam extends WeightOptimizer<NadamRecipe> {
  readonly #momentum: NadamMomentum;

  constructor(recipe: NadamRecipe, state?: OptimizerState) {
    super(recipe, state);
    this.#momentum = new NadamMomentum(recipe, this.step);
  }

  apply(
    weights: ReadonlyMap<string, Float32Array>,
    gradients: Readonly<Record<string, Float32Array>>,
    learningRate: number,
  ): void {
    this.step += 1;
    const { gradientShare, momentShare } = this.#momentum.next();
    const { beta1, beta2, epsilon, weightDecay } = this.recipe;
    const gradientStep = learningRate * gradientShare;
    const momentStep = learningRate * momentShare;
    const correction = 1 / (1 - beta2 ** this.step);
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
        const change = (gradientStep * slope + momentStep * m) / (Math.sqrt(v * correction) + epsilon);
        weight[i] = (weight[i] as number) - change;
      }
    }
  }
}
