export { fileError } from "./file/file-errors.js";
export { locationOf, partInside, resolveLocation } from "./location.js";
export type { GetOptions } from "./object-store.js";
export { openStore } from "./open-store.js";
export { range, readAhead } from "./read-ahead.js";
export { readBounds } from "./read-bounds.js";
export { readIfThere } from "./read-if-there.js";
