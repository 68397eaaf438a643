import { TrommelError } from "../errors.js";
import type { TrainingRecipe } from "./training-recipe.js";

/** Names in a message, so that a hundred classes do not fill the screen. */
const namesAtMost = 20;

/**
 * The weight that each class's rows have in the loss, by `training.classWeights`: 1 for `none`; n / (k · n_c) for
 * `balanced`, with n rows, k classes that have rows and n_c rows of the class, as scikit-learn computes it; the root of that
 * for `sqrt`; the given weights, 1 for a class without one, by names that match in Unicode NFC. A class without rows weighs 1.
 * @param classNames in label order; given weights cannot be resolved without
 * @param counts rows of each class
 * @param field of the recipe, for messages
 * @throws TrommelError `invalid-argument` for the name of no class, `internal` when the lengths differ
 */
export function resolveClassWeights(
  weights: TrainingRecipe["classWeights"],
  classNames: readonly string[] | undefined,
  counts: ArrayLike<number>,
  field = "training.classWeights",
): Float64Array {
  const perClass = Array.from(counts);
  if (typeof weights === "object") return namedWeights(weights, classNames, perClass.length, field);
  const rows = perClass.reduce((sum, count) => sum + count, 0);
  const present = perClass.filter((count) => count > 0).length;
  return Float64Array.from(perClass, (count) => {
    if (weights === "none" || count === 0) return 1;
    const balanced = rows / (present * count);
    return weights === "balanced" ? balanced : Math.sqrt(balanced);
  });
}

/** @throws TrommelError `invalid-argument` if the recipe weights a class that does not exist */
export function checkClassWeights(
  {
    training,
    tune,
  }: {
    readonly training: Pick<TrainingRecipe, "classWeights">;
    readonly tune: Pick<TrainingRecipe, "classWeights"> | null;
  },
  classNames: readonly string[],
): void {
  const counts = new Float64Array(classNames.length);
  resolveClassWeights(training.classWeights, classNames, counts);
  if (tune !== null) resolveClassWeights(tune.classWeights, classNames, counts, "tune.classWeights");
}

function namedWeights(
  weights: Readonly<Record<string, number>>,
  classNames: readonly string[] | undefined,
  classCount: number,
  field: string,
): Float64Array {
  if (classNames?.length !== classCount) {
    throw new TrommelError(
      "internal",
      `cannot weight the classes: ${classNames?.length ?? "no"} names given for ${classCount} classes`,
    );
  }
  const byName = new Map(Object.entries(weights).map(([name, weight]) => [name.normalize("NFC"), weight]));
  const unknown = [...byName.keys()].filter((name) => !classNames.includes(name));
  if (unknown.length > 0) {
    const listed = classNames.slice(0, namesAtMost).join(", ");
    const more = classNames.length > namesAtMost ? `, and ${classNames.length - namesAtMost} more` : "";
    throw new TrommelError(
      "invalid-argument",
      `cannot weight the classes: ${field} has a weight for ${unknown.join(", ")}, but the classes are ` +
        `${listed}${more}. Correct the name, or remove it from ${field}`,
      { context: { unknown } },
    );
  }
  return Float64Array.from(classNames, (name) => byName.get(name) ?? 1);
}
