export { locateFiles } from "./locate-files.js";
export { parseRecipe } from "./parse-recipe.js";
export { parseYamlText } from "./parse-yaml.js";
export { builtInNames, readRecipeText } from "./read-recipe.js";
export { isAbsent, setField } from "./recipe-path.js";
export type { WrittenRecipe } from "./recipe-path.js";
