import type { OptimizerRecipe } from "@trommel/common";

type AdamRecipe = Extract<OptimizerRecipe, { type: "adam" }>;

/**
 * Adam (Kingma & Ba 2015) as Keras computes it: the step size is learningRate · √(1 − β₂ᵗ) / (1 − β₁ᵗ), and epsilon is added
 * to √v without correction. On plain arrays, for a head is small: as operations of TensorFlow.js the update would cost
 * more than the forward and backward pass.
 */
export class Adam {
  readonly #recipe: AdamRecipe;
  readonly #moments = new Map<string, { readonly first: Float32Array; readonly second: Float32Array }>();
  #step = 0;

  constructor(recipe: AdamRecipe) {
    this.#recipe = recipe;
  }

  /** Updates the weights in place by one step down the gradients. */
  apply(
    weights: ReadonlyMap<string, Float32Array>,
    gradients: Readonly<Record<string, Float32Array>>,
    learningRate: number,
  ): void {
    this.#step += 1;
    const { beta1, beta2, epsilon } = this.#recipe;
    const stepSize = (learningRate * Math.sqrt(1 - beta2 ** this.#step)) / (1 - beta1 ** this.#step);
    for (const [name, weight] of weights) {
      const gradient = gradients[name] as Float32Array;
      const { first, second } = this.#momentsOf(name, weight.length);
      for (let i = 0; i < weight.length; i += 1) {
        const slope = gradient[i] as number;
        const m = beta1 * (first[i] as number) + (1 - beta1) * slope;
        const v = beta2 * (second[i] as number) + (1 - beta2) * slope * slope;
        first[i] = m;
        second[i] = v;
        weight[i] = (weight[i] as number) - (stepSize * m) / (Math.sqrt(v) + epsilon);
      }
    }
  }

  #momentsOf(name: string, length: number) {
    let moments = this.#moments.get(name);
    if (moments === undefined) {
      moments = { first: new Float32Array(length), second: new Float32Array(length) };
      this.#moments.set(name, moments);
    }
    return moments;
  }
}
