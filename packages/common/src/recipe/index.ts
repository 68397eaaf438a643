export { csvSource } from "./labels-recipe.js";
export { groupColumn, testByColumn, testFile, testShare } from "./split-recipe.js";
export { checkClassWeights } from "./class-weights.js";
export { decodeRecipe, imagesPerShardAtMost } from "./recipe.js";
export { servedFlips } from "./serving-views.js";
export type { Flip } from "./views-recipe.js";
export { autoHeadOf, candidatesOf, foldsOf, isAuto, recipeHead } from "./auto-head.js";
export type { AutoHead, CandidateRecipe, RecipeHead } from "./auto-head.js";
