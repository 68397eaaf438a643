import type { Command } from "commander";
import { globals, loaded } from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

export function addRecipeCommands(program: Command, terminal: Terminal): void {
  const recipe = program.command("recipe").description("look at the built-in recipes");
  globals(recipe.command("ls"), terminal)
    .description("list them with their variants and backbones")
    .action(loaded(terminal, async () => (await import("../commands/recipe.js")).recipeList));
  globals(recipe.command("show <name>"), terminal)
    .description("print the file of one; with --json the recipe with every default filled in")
    .action(loaded(terminal, async () => (await import("../commands/recipe.js")).recipeShow));
}
