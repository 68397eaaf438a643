export { readCurrentFiles } from "./current-files.js";
export type { CurrentFiles } from "./current-files.js";
export { findEvaluatedSource } from "./evaluated-source.js";
export type { EvaluatedSource } from "./evaluated-source.js";
export { readFinishedScores, scoredKeys } from "./finished-scores.js";
export type { FinishedScores } from "./finished-scores.js";
export type { ListedImages } from "./listed-images.js";
export { imagesOfScoring } from "./scored-images.js";
export type { ScoredImages } from "./scored-images.js";
export { listImages } from "./listed-images.js";
export {
  evaluationFolder,
  exportEvaluation,
  findEvaluation,
  writeEvaluationLabels,
} from "./stored-evaluation.js";
export { matchEvaluationLabels } from "../labels/evaluation-labels.js";
export type { SourcePlace } from "../sources/open-source.js";
export { resolveSource } from "../resolve/resolve-source.js";
export type { EvaluationLabels, MatchedLabels } from "../labels/evaluation-labels.js";
export { findScoring } from "../run-control/find-scoring.js";
