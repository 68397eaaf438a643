export { decodeRecipe, imagesPerShardAtMost } from "./recipe.js";
export { autoHeadOf, candidatesOf, isAuto, recipeHead } from "./auto-head.js";
export type { AutoHead, CandidateRecipe, RecipeHead } from "./auto-head.js";
