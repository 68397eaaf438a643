export { sortScoring } from "./sort-scoring.js";
export type { SortLedger } from "./sort-scoring.js";
export type { SortHow } from "./sorted-part.js";
