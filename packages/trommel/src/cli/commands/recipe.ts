import type { Recipe } from "@trommel/common";
import { parseRecipe } from "@trommel/coordinator/recipes/parse-recipe";
import { builtInNames, readRecipeText } from "@trommel/coordinator/recipes/read-recipe";
import { Session, type GlobalFlags } from "../session.js";
import type { Terminal } from "../terminal.js";

interface RecipeRow {
  readonly name: string;
  readonly description: string;
  readonly backbones: Recipe["backbones"];
}

/** `trommel recipe ls` */
export async function recipeList(terminal: Terminal, flags: GlobalFlags): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const rows: RecipeRow[] = [];
    for (const name of await builtInNames()) {
      const { variants } = await readRecipeText(name);
      for (const reference of [name, ...variants.map((variant) => `${name}:${variant}`)])
        rows.push(await rowOf(reference));
    }
    const [nameWidth, backboneWidth] = [rows.map(({ name }) => name), rows.map(describeBackbones)].map(
      (texts) => Math.max(...texts.map((text) => text.length)),
    ) as [number, number];
    for (const row of rows) {
      session.say(
        `${row.name.padEnd(nameWidth)}  ${describeBackbones(row).padEnd(backboneWidth)}  ${row.description}`,
      );
    }
    session.result({ recipes: rows });
  } finally {
    await session.close();
  }
}

/** `trommel recipe show <name>`: the file as it is shipped; with --json the recipe with every default filled in. */
export async function recipeShow(terminal: Terminal, reference: string, flags: GlobalFlags): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const { text, written } = await readRecipeText(reference, terminal.io.cwd);
    const recipe = parseRecipe(written, `the recipe ${reference}`);
    if (session.json) session.result(recipe);
    else session.say(text.trimEnd());
  } finally {
    await session.close();
  }
}

async function rowOf(reference: string): Promise<RecipeRow> {
  const { written } = await readRecipeText(reference);
  const { description, backbones } = parseRecipe(written, `the recipe ${reference}`);
  return { name: reference, description, backbones };
}

function describeBackbones({ backbones }: RecipeRow): string {
  return backbones
    .map(({ name, inputSize }) => (inputSize === null ? name : `${name} at ${inputSize}`))
    .join(", ");
}
