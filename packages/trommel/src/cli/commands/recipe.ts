import type { ListedRecipe } from "../../index.js";
import { withTrommel, type GlobalFlags } from "../handle.js";
import { tableOf } from "../table.js";
import type { Terminal } from "../terminal.js";

/** `trommel recipe ls` */
export async function recipeList(terminal: Terminal, flags: GlobalFlags): Promise<void> {
  await withTrommel(terminal, flags, async ({ recipes }) => {
    const listed = await recipes.list();
    const rows = listed.map((recipe) => [recipe.name, describeBackbones(recipe), recipe.description]);
    for (const line of tableOf(["recipe", "backbones", "what it is"], rows)) terminal.say(line);
    terminal.result({ recipes: listed });
  });
}

/** `trommel recipe show <name>`: the file as it is; with --json the recipe with every default filled in. */
export async function recipeShow(terminal: Terminal, reference: string, flags: GlobalFlags): Promise<void> {
  await withTrommel(terminal, flags, async ({ recipes }) => {
    const { text, recipe } = await recipes.show(reference);
    if (terminal.json) terminal.result(recipe);
    else terminal.say(text.trimEnd());
  });
}

function describeBackbones({ backbones }: ListedRecipe): string {
  return backbones
    .map(({ name, inputSize }) => (inputSize === null ? name : `${name} at ${inputSize}`))
    .join(", ");
}
