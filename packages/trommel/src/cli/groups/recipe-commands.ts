import type { Command } from "commander";
import { globals, loaded } from "./shared-flags.js";

export function addRecipeCommands(program: Command): void {
  const recipe = program.command("recipe").description("look at the built-in recipes");
  globals(recipe.command("ls"))
    .description("list them with their variants and backbones")
    .action(loaded(async () => (await import("../commands/recipe.js")).recipeList));
  globals(recipe.command("show <name>"))
    .description("print one as it is shipped; with --json, with every default filled in")
    .action(loaded(async () => (await import("../commands/recipe.js")).recipeShow));
}
