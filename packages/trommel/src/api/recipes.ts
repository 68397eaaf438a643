import { TrommelError, type Recipe, type RecipeInput } from "@trommel/common";
import {
  builtInNames,
  isAbsent,
  locateFiles,
  parseRecipe,
  parseYamlText,
  readRecipeText,
  setField,
  type WrittenRecipe,
} from "@trommel/coordinator/recipes";
import { pathFrom } from "./options.js";

/** A field of a recipe and its value. */
export interface RecipeField {
  /** Such as `["views", "shear"]`. */
  readonly path: readonly string[];
  readonly value: unknown;
  /** Only sets the field where the recipe leaves it out or says null. @default false */
  readonly ifAbsent?: boolean | undefined;
}

/** What {@link Recipes.read} puts together. */
export interface ReadRecipeOptions {
  /** A built-in recipe by its name, or a YAML or JSON file, either followed by `:variant`. @default no recipe */
  readonly from?: string | undefined;
  /** Fields laid over it, one after another; a change of kind (`head.type`) drops the old kind's other fields. */
  readonly set?: readonly RecipeField[] | undefined;
}

/** A built-in recipe, or a variant of one. */
export interface ListedRecipe {
  /** What `--recipe` and {@link Recipes.read} take. */
  readonly name: string;
  /** One line. */
  readonly description: string;
  readonly backbones: Recipe["backbones"];
}

/** Looks at recipes, and reads them with every default filled in. */
export class Recipes {
  readonly #folder: string;

  /** @param folder where relative paths start */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The built-in recipes and their variants, in order of their names. */
  async list(): Promise<ListedRecipe[]> {
    const recipes: ListedRecipe[] = [];
    for (const name of await builtInNames()) {
      const { variants } = await readRecipeText(name);
      for (const reference of [name, ...variants.map((variant) => `${name}:${variant}`)]) {
        const { description, backbones } = await this.read({ from: reference });
        recipes.push({ name: reference, description, backbones });
      }
    }
    return recipes;
  }

  /**
   * A recipe as it is written, comments and variants included, and with every default filled in.
   * @throws TrommelError `invalid-argument` for an unknown one
   */
  async show(reference: string): Promise<{ readonly text: string; readonly recipe: Recipe }> {
    const { text, written } = await readRecipeText(reference, this.#folder);
    return { text, recipe: parseRecipe(written, `the recipe ${reference}`) };
  }

  /**
   * A recipe with every default filled in.
   * @throws TrommelError `invalid-argument` naming the field, and its line in a file
   */
  async read({ from, set = [] }: ReadRecipeOptions): Promise<Recipe> {
    const named = from === undefined ? undefined : await readRecipeText(from, this.#folder);
    const written: WrittenRecipe = named === undefined ? {} : structuredClone(named.written);
    for (const { path, value, ifAbsent = false } of set)
      if (!ifAbsent || isAbsent(written, path)) setField(written, path, value);
    if (written["backbones"] === undefined) {
      throw new TrommelError(
        "invalid-argument",
        "cannot read the recipe: it names no backbone. Give --backbone, or a --recipe with 'backbones'. 'trommel backbone ls' shows what is there, 'trommel recipe ls' the built-in recipes",
      );
    }
    const what = from === undefined ? "the recipe of the flags" : `the recipe ${from}`;
    return parseRecipe(written, what, named?.lineOf);
  }

  /**
   * A recipe that is given as an object: refused where it has an unknown field, filled in where it has none.
   * @throws TrommelError `invalid-argument` naming the field
   */
  parse(recipe: RecipeInput): Recipe {
    return parseRecipe(structuredClone(recipe), "the recipe");
  }

  /**
   * The value of a field as YAML writes it, such as `[0, 1, 2]`.
   * @throws what the YAML parser throws
   */
  parseValue(text: string): unknown {
    return parseYamlText(text);
  }

  /** @internal The files that a recipe names by relative paths, from the handle's folder. */
  withLocatedFiles(recipe: Recipe): Recipe {
    return locateFiles(recipe, (file) => pathFrom(this.#folder, file));
  }
}
