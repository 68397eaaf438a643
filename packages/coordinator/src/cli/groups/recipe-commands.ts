import type { Command } from "commander";
import { recipeList, recipeShow } from "../commands/recipe.js";
import { globals } from "./shared-flags.js";

export function addRecipeCommands(program: Command): void {
  const recipe = program.command("recipe").description("look at the built-in recipes");
  globals(recipe.command("ls")).description("list them with their variants and backbones").action(recipeList);
  globals(recipe.command("show <name>"))
    .description("print one as it is shipped; with --json, with every default filled in")
    .action(recipeShow);
}
