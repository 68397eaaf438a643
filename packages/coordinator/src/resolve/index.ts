export { resolveExport } from "./resolve-export.js";
export { resolveBundle, resolveRun, resolveScoring } from "./resolve-run.js";
