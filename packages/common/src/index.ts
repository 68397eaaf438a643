export {
  TrommelError,
  errorCodes,
  isRedisBusy,
  isRedisFull,
  isRedisRefusal,
  messageOf,
  toTrommelError,
} from "./errors.js";
export type { ErrorCode, ErrorContext, TrommelErrorOptions } from "./errors.js";
export { parseAs, parseJsonAs, placeOfFault } from "./parse.js";
export { ReleaseStack } from "./release-stack.js";
export { someOf } from "./some-of.js";
export { SeededRandom, seedFrom } from "./random/seeded-random.js";

export { openStore } from "./store/open-store.js";
export type { OpenStoreOptions } from "./store/open-store.js";
export { parseLocation, resolveLocation } from "./store/location.js";
export type { GetOptions, ListOptions, ObjectInfo, ObjectStore, PutOptions } from "./store/object-store.js";

export { canonicalJson, sha256Hex } from "./codec/canonical-json.js";
export { findMarker, markerSchema, readMarker, readWithMarker, writeWithMarker } from "./codec/marker.js";

export { listBackbones, readBackboneModel, resolveBackbone } from "./artefacts/backbones/stored-backbones.js";
export {
  backboneId,
  backboneName,
  backboneSpec,
  channelOrders,
  namedNormalizations,
  normalization,
  normalizationName,
  normalizationNamed,
  axisOrders,
  outputPoolings,
  poolings,
  tokenPoolings,
} from "./artefacts/backbones/backbone-spec.js";
export type {
  AxisOrder,
  BackboneSpec,
  ChannelOrder,
  Normalization,
  OutputPooling,
  Pooling,
  TokenPooling,
} from "./artefacts/backbones/backbone-spec.js";
export { catalogueEntry, weightCatalogue } from "./artefacts/backbones/weight-catalogue.js";
export type { CatalogueEntry } from "./artefacts/backbones/weight-catalogue.js";
export { bundleFiles, bundleManifest, chooseTopK } from "./artefacts/results/bundle.js";
export type { BundleManifest, ScoreRow } from "./artefacts/results/bundle.js";
export { decodeNovelty, encodeNovelty } from "./artefacts/results/novelty.js";
export type { Novelty } from "./artefacts/results/novelty.js";
export { claimExport } from "./artefacts/runs/export-claim.js";
export { failureReason } from "./artefacts/shards/failure-reason.js";
export type { FailureReason } from "./artefacts/shards/failure-reason.js";
export {
  decodeFeatureShard,
  encodeFeatureShard,
  featureShardMarker,
} from "./artefacts/shards/feature-shard.js";
export type { FeatureShard } from "./artefacts/shards/feature-shard.js";
export { featureFingerprint, shardHash } from "./artefacts/runs/fingerprint.js";
export { ledger, shardOutcome } from "./artefacts/shards/ledger.js";
export type { ErrorLine, FailedImage, Ledger } from "./artefacts/shards/ledger.js";
export {
  decodeGram,
  decodeHeadWeights,
  decodeProjection,
  encodeGram,
  encodeHeadWeights,
  encodeProjection,
} from "./artefacts/results/projection-codec.js";
export type { Gram, HeadWeights, NamedTensor, Projection } from "./artefacts/results/projection.js";
export { readLabelLookup } from "./artefacts/runs/labels.js";
export type { LabelOf, LabelTable } from "./artefacts/runs/labels.js";
export { compareUtf8, labelOfKey, listingSummary, shard, split } from "./artefacts/shards/listing.js";
export type { ListingSummary, Shard, ShardEntry, SkipReason, Split } from "./artefacts/shards/listing.js";
export { datasetNormalization, pixelStatistics } from "./artefacts/shards/pixel-statistics.js";
export type { DatasetNormalization, PixelStatistics } from "./artefacts/shards/pixel-statistics.js";
export { evaluation, metrics } from "./artefacts/results/metrics.js";
export type { EpochRecord, Evaluation, Metrics } from "./artefacts/results/metrics.js";
export {
  backboneKeys,
  checkRunId,
  evaluationKeys,
  featureShardKey,
  listingKeyOf,
  outputKeys,
  runKeys,
  scoringKeys,
  subjectKeys,
} from "./artefacts/store-keys.js";
export { featureDimension, runConfig, scoringConfig } from "./artefacts/runs/run.js";
export type { RunConfig, ScoringConfig } from "./artefacts/runs/run.js";

export { jobId, jobOptions, jobPayload, queuePrefix, workerTimings } from "./jobs/queues.js";
export type { JobPayload } from "./jobs/queues.js";
export { queueOf, shardsPerGram, stageTable, workerQueues } from "./jobs/pipeline.js";
export type { QueueName, Stage, WorkerQueue } from "./jobs/pipeline.js";
export { LiveRun, stopReasonToThrow } from "./jobs/live-run.js";
export type { StopReason, StageProgress } from "./jobs/live-run.js";

export { resolveClassWeights } from "./recipe/class-weights.js";
export { resolveNormalization } from "./recipe/resolve-normalization.js";
export { headRecipe } from "./recipe/head-recipe.js";
export type { HeadRecipe } from "./recipe/head-recipe.js";
export { labelSource } from "./recipe/labels-recipe.js";
export type { LabelSource } from "./recipe/labels-recipe.js";
export { recipe, scoreFormat } from "./recipe/recipe.js";
export type { DecodeRecipe, Recipe, RecipeInput, ScoreFormat, SvdRecipe } from "./recipe/recipe.js";
export { optimizerRecipe, scheduleRecipe, trainingRecipe } from "./recipe/training-recipe.js";
export type {
  OptimizerRecipe,
  ScheduleRecipe,
  StepOptimizerRecipe,
  TrainingRecipe,
} from "./recipe/training-recipe.js";
export type { ViewsRecipe } from "./recipe/views-recipe.js";
export {
  backboneOptionsAtMost,
  defaultOutstandingShards,
  devices,
  engines,
  importOptions,
  predictOptions,
  pullOptions,
  randomOptions,
  workerDefaults,
  workerOptions,
  workerOptionsAtMost,
} from "./worker-commands.js";
export type {
  Device,
  EngineName,
  ImportOptions,
  PredictedRow,
  PredictOptions,
  PullOptions,
  RandomOptions,
  WorkerCommands,
  WorkerOptions,
} from "./worker-commands.js";
