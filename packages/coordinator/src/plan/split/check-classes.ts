import { TrommelError } from "@trommel/common";

/**
 * @param labels the classes
 * @param counts images of each that are not in the test part
 * @param options.isTested whether there is a test part
 * @param options.isFolded whether folds measure, instead of a validation part
 * @throws TrommelError `bad-dataset` for fewer than two classes, or a class with a single image
 */
export function checkClasses(
  labels: readonly string[],
  counts: readonly number[],
  { isTested = false, isFolded = false } = {},
): void {
  if (labels.length < 2) {
    throw new TrommelError(
      "bad-dataset",
      `cannot split the dataset: a classifier needs pictures of at least two classes, and there is ${labels.join(", ") || "none"}. Add pictures of others, or point train at the folder that holds the class folders`,
      { context: { classes: labels } },
    );
  }
  const few = labels.filter((_, index) => (counts[index] ?? 0) < 2);
  if (few.length === 0) return;
  const some = few.some((label) => counts[labels.indexOf(label)] === 1);
  const has = `${some ? "one image" : "no image"}${isTested ? " outside the test part" : ""}`;
  throw new TrommelError(
    "bad-dataset",
    `cannot split the dataset: class ${few.map((label) => JSON.stringify(label)).join(", ")} has ${has}, and ${isFolded ? "at least two folds" : "training and validation"} need one each. Add images or remove the class`,
    { context: { classes: few } },
  );
}
