export { resolveExport } from "./resolve-export.js";
export { resolveBundle } from "./bundle.js";
export { forecastRun } from "./forecast.js";
export type { TrainingForecast } from "./forecast.js";
export type { AskedArchives, AskedManifest } from "./resolve-source.js";
export { forecastScoring } from "../forecast/forecast-scoring.js";
export type { ScoringForecast } from "../forecast/forecast-scoring.js";
export { resolveRun } from "./run.js";
export { resolveScoring } from "./scoring.js";
