import { resolveLocation, type Recipe } from "@trommel/common";

/**
 * The locations of a recipe's files made absolute, so that it means the same wherever it is read.
 * @param locate gives a file's absolute location; @default from the working folder
 */
export function locateFiles(recipe: Recipe, locate: (file: string) => string = resolveLocation): Recipe {
  const { labels, split } = recipe;
  const { source, classes } = labels;
  const file = source.type === "csv" && source.file !== null ? { file: locate(source.file) } : {};
  const { test } = split;
  const isList = test !== null && typeof test === "object" && "keys" in test;
  return {
    ...recipe,
    labels: { source: { ...source, ...file }, classes: classes === null ? null : locate(classes) },
    split: { ...split, test: isList ? { keys: locate(test.keys) } : test },
  };
}
