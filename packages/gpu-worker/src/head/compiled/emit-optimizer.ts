import type { StepOptimizerRecipe } from "@trommel/common";
import type { GraphBuilder } from "../../graph/graph-builder.js";

export type MomentKind = "first" | "second" | "velocity";

/** The moments of an optimiser, in the order of a checkpoint. */
export function momentKinds({ type }: StepOptimizerRecipe): readonly MomentKind[] {
  return type === "sgd" ? ["velocity"] : ["first", "second"];
}

/**
 * The factor of a moment outside a block of steps. Inside it is kept divided by (1 − β), so that M = β · M + g needs
 * one product less, which saves a tenth of an update's time. AdamW's moments are kept so everywhere.
 */
export function momentScale(recipe: StepOptimizerRecipe, kind: MomentKind): number {
  if (recipe.type === "sgd" || recipe.type === "adamw") return 1;
  return 1 - (kind === "first" ? recipe.beta1 : recipe.beta2);
}

/** Names of one group's values, all of the same length. */
export interface UpdateValues {
  readonly weight: string;
  readonly gradient: string;
  /** In the order of {@link momentKinds}, scaled by {@link momentScale}. */
  readonly moments: readonly string[];
  /** Scalars of the step, see `step-rates.ts`. */
  readonly rates: readonly string[];
  /** Whether AdamW's decay applies. */
  readonly decays: boolean;
}

/**
 * One step of the optimiser, in float32: what `tfjs/optimizers.ts` computes, with the factors of its formulas
 * collected into the rates.
 * @returns the new weight and moments
 */
export function emitUpdate(
  builder: GraphBuilder,
  recipe: StepOptimizerRecipe,
  values: UpdateValues,
): { readonly weight: string; readonly moments: readonly string[] } {
  const scalar = (value: number) => builder.constant("scalar", "float32", [], Float32Array.of(value));
  const add = (a: string, b: string) => builder.node("Add", [a, b]);
  const multiply = (a: string, b: string) => builder.node("Mul", [a, b]);
  const subtract = (a: string, b: string) => builder.node("Sub", [a, b]);
  const { weight, gradient, moments, rates } = values;
  const isPenalty = recipe.type !== "adamw" && recipe.weightDecay !== 0;
  const slope = isPenalty ? add(gradient, multiply(weight, scalar(recipe.weightDecay))) : gradient;
  const [before = "", secondBefore = ""] = moments;
  if (recipe.type === "sgd") {
    const momentum = scalar(recipe.momentum);
    const velocity = add(multiply(before, momentum), slope);
    const change = recipe.nesterov ? add(slope, multiply(velocity, momentum)) : velocity;
    return { weight: subtract(weight, multiply(change, rates[0] ?? "")), moments: [velocity] };
  }
  const first = add(multiply(before, scalar(recipe.beta1)), slope);
  const second = add(multiply(secondBefore, scalar(recipe.beta2)), multiply(slope, slope));
  const root = builder.node("Sqrt", [second]);
  const quotient = (above: string, epsilon: string) => builder.node("Div", [above, add(root, epsilon)]);
  const moved = (change: string, from = weight) => ({
    weight: subtract(from, change),
    moments: [first, second],
  });
  const [rate = "", secondRate = "", thirdRate = ""] = rates;
  switch (recipe.type) {
    case "adam":
      return moved(multiply(quotient(first, scalar(recipe.epsilon / Math.sqrt(1 - recipe.beta2))), rate));
    case "adamw":
      return moved(
        multiply(quotient(first, secondRate), rate),
        values.decays ? multiply(weight, thirdRate) : weight,
      );
    case "nadam":
      return moved(quotient(add(multiply(slope, rate), multiply(first, secondRate)), thirdRate));
  }
}
