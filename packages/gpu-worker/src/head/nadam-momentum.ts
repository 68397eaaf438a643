import type { OptimizerRecipe } from "@trommel/common";

type NadamRecipe = Extract<OptimizerRecipe, { type: "nadam" }>;

/** The warmed-up momentum of Nadam, step by step: μ(t) = β₁ · (1 − ½ · 0.96^(t · scheduleDecay)), M(t) = μ(1) · … · μ(t). */
export class NadamMomentum {
  readonly #recipe: Pick<NadamRecipe, "beta1" | "scheduleDecay">;
  #step = 0;
  /** M(step) */
  #product = 1;

  /** @param stepsTaken the product depends on the step alone, so multiplying it up again gives the same bits */
  constructor(recipe: Pick<NadamRecipe, "beta1" | "scheduleDecay">, stepsTaken: number) {
    this.#recipe = recipe;
    while (this.#step < stepsTaken) this.next();
  }

  /** The factors of the next step t: (1 − μ(t)) / (1 − M(t)) for the gradient, μ(t+1) / (1 − M(t+1)) for the first moment. */
  next(): { readonly gradientShare: number; readonly momentShare: number } {
    this.#step += 1;
    const own = this.#momentumOf(this.#step);
    const following = this.#momentumOf(this.#step + 1);
    this.#product *= own;
    return {
      gradientShare: (1 - own) / (1 - this.#product),
      momentShare: following / (1 - this.#product * following),
    };
  }

  #momentumOf(step: number): number {
    const { beta1, scheduleDecay } = this.#recipe;
    return beta1 * (1 - 0.5 * 0.96 ** (step * scheduleDecay));
  }
}
