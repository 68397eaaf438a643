export { resolveExport } from "./resolve-export.js";
export { resolveBundle } from "./bundle.js";
export { resolveRun } from "./run.js";
export { resolveScoring } from "./scoring.js";
