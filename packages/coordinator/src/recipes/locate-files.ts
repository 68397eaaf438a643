import { resolveLocation, type Recipe } from "@trommel/common";
import { testFile } from "@trommel/common/recipe";

/**
 * The locations of a recipe's files made absolute, so that it means the same wherever it is read.
 * @param locate gives a file's absolute location; @default from the working folder
 */
export function locateFiles(recipe: Recipe, locate: (file: string) => string = resolveLocation): Recipe {
  const { labels, split } = recipe;
  const { source, classes } = labels;
  const file = source.type === "csv" && source.file !== null ? { file: locate(source.file) } : {};
  const list = testFile(split);
  return {
    ...recipe,
    labels: { ...labels, source: { ...source, ...file }, classes: classes === null ? null : locate(classes) },
    split: list === undefined ? split : { ...split, test: { keys: locate(list) } },
  };
}
