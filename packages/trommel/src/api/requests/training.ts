import {
  resolveLocation,
  TrommelError,
  type Recipe,
  type RecipeInput,
  type RunConfig,
} from "@trommel/common";
import { resolveRun, type AskedArchives, type AskedManifest } from "@trommel/coordinator/resolve";
import type { Connections } from "../connections.js";
import { placeExpected, textGiven } from "../given.js";
import type { Recipes } from "../recipes.js";

/** What a training was asked for. */
export interface TrainingRequest {
  readonly prefix: string | undefined;
  readonly manifest?: AskedManifest | undefined;
  readonly archives?: AskedArchives | undefined;
  readonly recipe: RecipeInput | string;
  readonly id?: string | undefined;
  readonly output?: string | undefined;
}

/**
 * Resolves a training, with what its recipe's environment variables say where the call does not.
 * @returns the run, and what writes it
 */
export async function resolveTraining(
  { store, options }: Connections,
  recipes: Recipes,
  { prefix, manifest, archives, recipe, id, output }: TrainingRequest,
): Promise<{ readonly config: RunConfig; readonly claim: () => Promise<void> }> {
  const written = typeof recipe === "string" ? await recipes.read({ from: recipe }) : recipes.parse(recipe);
  const locate = (location: string): string => resolveLocation(location, options.folder);
  const variable = (name: string | null): string | undefined => {
    const value = name === null ? undefined : options.env[name];
    return value === "" ? undefined : value;
  };
  const target = output ?? variable(written.environment.output);
  const dataset = prefix ?? variable(written.environment.input);
  if (dataset === undefined && manifest === undefined) throw noPictures(written);
  return resolveRun({
    ...{ store, id, archives },
    dataset: dataset === undefined ? undefined : locate(textGiven(dataset, "train", "prefix", placeExpected)),
    manifest: manifest && { ...manifest, location: locate(manifest.location) },
    recipe: recipes.withLocatedFiles(written),
    output: target === undefined ? undefined : locate(target),
  });
}

/** The error where neither the call nor the recipe's variable names images. */
function noPictures({ name, environment: { input } }: Recipe): TrommelError {
  return new TrommelError(
    "invalid-argument",
    input === null
      ? "cannot train: no pictures are named. Give their <prefix>, or --manifest <file>"
      : `cannot train: no pictures are named, and ${input}, from which the recipe ${name} takes them, is not set. Give their <prefix>, or set ${input}`,
  );
}
