export { decodeRecipe, imagesPerShardAtMost } from "./recipe.js";
