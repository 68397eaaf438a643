import type { ScheduleRecipe } from "@trommel/common";

type PlateauRecipe = Extract<ScheduleRecipe, { type: "plateau" }>;

/** Smaller improvements of the loss do not count; Keras's default. */
const minDelta = 1e-4;

/** The learning rate from epoch to epoch, by the rule of Keras's ReduceLROnPlateau on the validation loss, without cooldown. */
export class PlateauRule {
  readonly #recipe: PlateauRecipe;
  #learningRate: number;
  #best = Number.POSITIVE_INFINITY;
  #wait = 0;

  constructor(recipe: PlateauRecipe, learningRate: number) {
    this.#recipe = recipe;
    this.#learningRate = learningRate;
  }

  /** For the next epoch. */
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
