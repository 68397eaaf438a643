import {
  openStore,
  recipe as recipeSchema,
  resolveBackbone,
  type Recipe,
  type RecipeInput,
} from "@trommel/common";
import type { ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import { hasColour } from "#gpu-worker/image/views/view";
import { loadBackbones } from "#gpu-worker/stages/inputs/load-backbones";

/** What is computed: a recipe's extraction, or the model of a bundle. */
export type ModelWork = ExtractionWork | { readonly kind: "bundle"; readonly folder: string };

export interface ExtractionWork {
  readonly kind: "extraction";
  readonly store: string;
  readonly recipe: RecipeInput;
}

export interface ExtractionParts {
  readonly recipe: Recipe;
  readonly decode: ResolvedDecodeRecipe;
  /** As the worker gives them to an engine or to the graph's builder. */
  readonly extractor: {
    readonly backbones: Awaited<ReturnType<typeof loadBackbones>>;
    readonly side: number;
    readonly viewCount: number;
    readonly colour: boolean;
    readonly identityFirst: boolean;
  };
}

/** What an extraction's graph is made of, from the store. */
export async function readExtraction(work: ExtractionWork): Promise<ExtractionParts> {
  const recipe = recipeSchema.parse(work.recipe);
  const { precision, views } = recipe;
  const store = openStore(work.store);
  try {
    const names = recipe.backbones.map(({ name }) => name);
    const specs = await Promise.all(names.map((name) => resolveBackbone(store, name)));
    const side = Math.max(...specs.map(({ inputSize }) => inputSize));
    const wanted = names.map((id) => ({ id, normalization: null, precision }));
    const backbones = await loadBackbones(store, wanted, false);
    return {
      recipe,
      decode: { ...recipe.decode, side },
      extractor: { backbones, side, viewCount: views.count, colour: hasColour(views), identityFirst: true },
    };
  } finally {
    store.close();
  }
}
