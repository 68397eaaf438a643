export { resolveSorting } from "./resolve-sorting.js";
