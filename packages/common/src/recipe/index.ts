export { decodeRecipe, imagesPerShardAtMost } from "./recipe.js";
export { candidatesOf, isAuto, recipeHead } from "./auto-head.js";
export type { AutoHead, CandidateRecipe, RecipeHead } from "./auto-head.js";
