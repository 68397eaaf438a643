export {
  hubAdvice,
  hubSpelling,
  isHubReference,
  nameInStore,
  parseHubReference,
  publicHub,
} from "./backbones/hub-reference.js";
export type { HubReference } from "./backbones/hub-reference.js";
export { blocksOf, layersOfModel, trainedLayers } from "./backbones/trained-layers.js";
export type { NetworkLayer } from "./backbones/trained-layers.js";
export { refuseUntunable, untunableActivations, untunableClasses } from "./backbones/tunable-layers.js";
export { acceptanceOf, mayBeUnknown, unknownLabel } from "./results/acceptance.js";
export type { Acceptance, AskedAcceptance } from "./results/acceptance.js";
export { servedEmbedding } from "./results/served-embedding.js";
export type { ScoredEmbeddings, ServedEmbedding } from "./results/served-embedding.js";
export { bundleFiles, bundleManifest, chooseTopK, decodeVersion, scoreRow } from "./results/bundle.js";
export { partsOf, scoreCounts, scoringSuccess } from "./scores/scoring-output.js";
export type { ScoreCounts, ScoringSuccess, SubmissionOutcome } from "./scores/scoring-output.js";
export { labelChangesAtMost, scoreDifferences } from "./scores/score-differences.js";
export type { ScoreDifference, ScoreDifferences } from "./scores/score-differences.js";
export { rivalOf, verdictOf } from "./results/comparison-verdict.js";
export { boundedFigures, evaluationFiles, modelEvaluation } from "./results/model-evaluation.js";
export type {
  BoundedFigure,
  Comparison,
  EvaluatedAnswer,
  EvaluatedFigures,
  EvaluationRow,
  ModelEvaluation,
} from "./results/model-evaluation.js";
export { choice } from "./results/choice.js";
export type { Choice, Estimate, MeasuredFigures, Mistake } from "./results/choice.js";
export type { Thresholds } from "./results/thresholds.js";
export type { Contradictions } from "./results/contradictions.js";
export { decodeFoldResult, encodeFoldResult } from "./results/fold-result.js";
export type { FoldResult, PredictedImages } from "./results/fold-result.js";
export { encodePredictions, predictionsMarker, StoredPredictions } from "./results/predicted-images.js";
export type { CellPage } from "./results/predicted-images.js";
export { headAt, headTensors } from "./results/projection-codec.js";
export {
  decodeMoments,
  decodeStandardization,
  encodeMoments,
  encodeStandardization,
} from "./results/standardization.js";
export type { Moments, Standardization } from "./results/standardization.js";
export { readDivision } from "./runs/division.js";
export type { Division, DivisionTable } from "./runs/division.js";
export {
  curveCandidate,
  curveVariant,
  foldUnits,
  unitsByDivision,
  unitsOf,
  variantsOf,
} from "./runs/fold-units.js";
export type { FoldUnit } from "./runs/fold-units.js";
export { labelLookup, labelTable } from "./runs/labels.js";
export { ownNormalization, resolveRunFeatures } from "./runs/resolved-run.js";
export type { ResolvedRun } from "./runs/resolved-run.js";
export { parseFailureLimit, requireFewFailures, writeFailureLimit } from "./runs/failure-limit.js";
export type { FailureLimit } from "./runs/failure-limit.js";
export {
  foldRunsOf,
  heldOutFoldOf,
  neededRunsOf,
  networkRunsOf,
  runConfigWithoutRepeats,
  tunedKeyOf,
  untunedOf,
} from "./runs/run.js";
export {
  changeMarker,
  checkpointMarker,
  epochLosses,
  foldNetworks,
  isTuned,
  keptRound,
  readRoundFigures,
  tunedBackbone,
} from "./runs/tuning-figures.js";
export type { FoldNetworks, RoundFigures, TunedBackbone } from "./runs/tuning-figures.js";
export {
  computeTuningPlan,
  findTuningPlan,
  readBackboneSpec,
  readTuningPlan,
  writeTuningPlan,
} from "./runs/tuning-plan.js";
export type { TuningPlan } from "./runs/tuning-plan.js";
export { replicaJob, replicaOfJob, roundSpan, tuningRounds } from "./runs/tuning-rounds.js";
export type { RoundSpan, TuningRounds } from "./runs/tuning-rounds.js";
export { sortedPart, sortingConfig, sortLedger, verifiedPart } from "./runs/sorting.js";
export type {
  SortedPart,
  SortHow,
  SortingConfig,
  SortLedger,
  UnplacedImage,
  VerifiedPart,
} from "./runs/sorting.js";
export { interruptedCode, noteStopReason, readStopReason, stopReasonOf } from "./runs/stop-reason.js";
export type { ArchivesForm, CarriedColumn, ManifestForm, SourceForm } from "./runs/source-form.js";
export { findRepeated, keyHash, KeyHashes } from "./shards/distinct-keys.js";
export { findColumns } from "./shards/shard-columns.js";
export type { ShardColumns } from "./shards/shard-columns.js";
export { PartList, spansOf } from "./generations/part-list.js";
export type { PartPlace, PartSpan } from "./generations/part-list.js";
export {
  listedKeysOf,
  readEarlierGeneration,
  readGeneration,
  ScoringGeneration,
} from "./generations/scoring-generation.js";
export type { GenerationRequest } from "./generations/scoring-generation.js";
export { findListing, findShard, readSplit } from "./shards/find-shard.js";
export { ImageIdentities, contentIdentity, isListedAs } from "./shards/image-identities.js";
export { errorLine, outcomeMarker, scoredImages } from "./shards/ledger.js";
export type { ShardOutcome } from "./shards/ledger.js";
export { LedgerBuilder, checkOutcome, errorLines, okKeys } from "./shards/ledger-builder.js";
export { isLitter, litter } from "./shards/litter.js";
export { countsByPattern, foldSplit, noFold, skipReason, testPart } from "./shards/listing.js";
export type { EntryPlace } from "./shards/entry-place.js";
export type { FoldSplit, GenerationSummary, Grouping, ImagePlace } from "./shards/listing.js";
export { generationOutput, runId, sortedKeys, sortingKeys } from "./store-keys.js";
export { parseShard } from "./shards/parse-shard.js";
export { RetriedImages } from "./shards/retried-images.js";
export { currentShards, isRetried, readRetries, readScoringSpan, retryRequest } from "./shards/retry.js";
export type { RetryReasons, RetryRequest, ScoringRetry, ScoringSpan, ShardSpan } from "./shards/retry.js";
