/**
 * Trommel as a library: trains image classifiers on frozen backbones and scores image collections, over a job queue.
 *
 * ```ts
 * import { openTrommel, loadClassifier } from "trommel";
 *
 * await using trommel = await openTrommel({ store: ".trommel", workers: 2 });
 * const run = await trommel.train("photos/", { backbones: ["mobilenet-075"] }, { id: "first" });
 * for await (const { stage, done, total } of run.progress()) console.log(stage, done, total);
 * const { bundle, accuracy } = await run.result();
 * await (await trommel.score("new/", { model: run, output: "scores/" })).result();
 * await using classifier = await loadClassifier(bundle);
 * const answers = await classifier.classify([bytes]);
 * ```
 *
 * In JavaScript without `await using`, `try { … } finally { await trommel.close(); }` does the same.
 * @module
 */
import type { BundleClassifier, LoadClassifierOptions } from "@trommel/gpu-worker/serving";
import type { TrommelOptions } from "./api/options.js";
import type { Trommel } from "./trommel.js";
import type { DashboardServer } from "./server/index.js";
import type { DashboardOptions } from "./server/options.js";
import { startTracing } from "@trommel/common/tracing";
import { loadServing } from "./worker-package.js";
import type { CoordinatorOptions, LocalServer, Server, WorkerServerOptions } from "./api/servers.js";

/**
 * Opens a store. Nothing is started yet: an embedded cluster (without a `redis`) starts with the first work, and stops with
 * {@link Trommel.close}, which `await using` calls.
 * @throws TrommelError `invalid-argument` for an illegal store
 */
export async function openTrommel(options: TrommelOptions = {}): Promise<Trommel> {
  // What a handle needs is loaded with the first one: reading a recipe or an artefact needs none of it.
  const { Trommel: Handle } = await import("./trommel.js");
  await startTracing("command");
  return new Handle(options);
}

/**
 * Loads a bundle to classify with, without a queue and without Redis; `@trommel/gpu-worker/serving` has the same function for
 * programs that load nothing else.
 * @param bundle its folder: a path, `file:` or `s3://bucket/prefix`, such as `(await run.result()).bundle`
 * @throws TrommelError `not-found` where no bundle is there, `corrupt` where its model is not the one of its manifest,
 *   `device-unavailable`
 */
export async function loadClassifier(
  bundle: string,
  options: LoadClassifierOptions = {},
): Promise<BundleClassifier> {
  const serving = await loadServing();
  return serving.loadClassifier(bundle, options);
}

/**
 * Serves the plan queue of a cluster: prefixes to shards to jobs.
 * @returns undefined where the signal aborts before its Redis answers
 * @throws TrommelError `invalid-argument` without a Redis
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<Server | undefined> {
  return (await import("./api/servers.js")).startCoordinator(options);
}

/**
 * Serves the work queues of a cluster as a process of its own: it listens to SIGTERM and SIGINT, and writes on stderr.
 * @returns the exit code that the process should end with
 * @throws TrommelError `invalid-argument` without a Redis, `device-unavailable`
 */
export async function startWorker(options: WorkerServerOptions): Promise<number> {
  return (await import("./api/servers.js")).startWorker(options);
}

/**
 * Starts a whole cluster on this machine, for other processes to use: Redis on a loopback port, a coordinator in this process,
 * and worker processes.
 * @throws TrommelError `not-found` without a redis-server, `conflict` where the port is taken
 */
export async function startCluster(
  options: TrommelOptions & { readonly port: number },
): Promise<LocalServer> {
  return (await import("./api/servers.js")).startCluster(options);
}

/**
 * Serves the HTTP API and the dashboard's page.
 * @returns undefined where the signal aborts before its Redis answers
 * @throws TrommelError `invalid-argument` for the address, the token or the roots; `conflict` where the port is taken
 */
export async function startDashboard(options: DashboardOptions): Promise<DashboardServer | undefined> {
  return (await import("./server/index.js")).startDashboard(options);
}

export type { DashboardOptions } from "./server/options.js";
export type { DashboardServer } from "./server/index.js";

export type {
  BundleClassifier,
  Classification,
  ClassifiedImage,
  ClassifyOptions,
  LoadClassifierOptions,
  UnreadableImage,
} from "@trommel/gpu-worker/serving";

export type { CallOptions } from "./api/abortable.js";
export type { BackboneChoices, EncoderChoices } from "./api/backbone-choices.js";
export type {
  Backbones,
  DamagedBackbone,
  ImportBackboneOptions,
  PullBackboneOptions,
  QuantizeBackboneOptions,
  RandomBackboneOptions,
} from "./api/backbones.js";
export type { DamagedWork, ListedWork, WorkTimes } from "./api/listing.js";
export type { LogLevel, TrommelOptions, Variables, WorkerSettings } from "./api/options.js";
export type { Progress } from "./api/following/progress.js";
export type { ListedRecipe, ReadRecipeOptions, RecipeField, Recipes } from "./api/recipes.js";
export type { CoordinatorOptions, LocalServer, Server, WorkerServerOptions } from "./api/servers.js";
export type { CollectedGarbage, CollectOptions, StoredRun, StoreKeeping } from "./api/store-keeping.js";
export type {
  ErrorsOptions,
  ScoringResult,
  StartOptions,
  TrainingResult,
  WatchedStatus,
  Work,
} from "./api/work.js";
export type { ExportedFeatures, ExportedFile } from "@trommel/common/worker-commands";
export type {
  ExportFeaturesOptions,
  Retried,
  RetryOptions,
  Run,
  RunRetryOptions,
  Scoring,
  ScoringMet,
} from "./run.js";
export type {
  ExamineOptions,
  PredictFilesOptions,
  Prediction,
  ScoreFilesOptions,
  TrainOptions,
  Trommel,
} from "./trommel.js";
export type { Diagnosis } from "./doctor/examine.js";
export type { SteeringOptions } from "./api/begin.js";
export { priorities } from "@trommel/common/jobs";
export type { Priority } from "@trommel/common/jobs";
export type { DoctorCheck, Finding } from "./doctor/finding.js";
export type { ClusterMember } from "@trommel/common/redis";
export type { Sorting, SortingOptions, StartSortOptions } from "./api/sorting.js";
export type { ScoreOptions } from "./api/requests/scoring.js";
export type { WatchedScoring, WatchOptions } from "./api/watching/watch-scoring.js";
export type { EvaluateOptions, LabelFile } from "./api/evaluation/evaluate.js";
export type { ComparisonVerdict, Evaluation, EvaluationResult } from "./api/evaluation/evaluation.js";
export { boundedFigures } from "@trommel/common/artefacts";
export type { FigureBounds, MissedBound } from "./api/evaluation/figure-bounds.js";

export { errorCodes, TrommelError, toTrommelError } from "@trommel/common";
export type { ErrorCode, ErrorContext } from "@trommel/common";
export { printable } from "@trommel/common/printable";
export { version } from "./version.js";

export { openStore, resolveLocation } from "@trommel/common";
export type { GetOptions, ListOptions, ObjectInfo, ObjectStore, PutOptions } from "@trommel/common";

export { failureReason, recipe, scoreFormat, stageTable, workerQueues } from "@trommel/common";
export type { FailureReason, Recipe, RecipeInput, ScoreFormat, WorkerQueue } from "@trommel/common";
export {
  backboneOptionsAtMost,
  defaultOutstandingShards,
  devices,
  engines,
  workerDefaults,
  workerOptionsAtMost,
} from "@trommel/common";
export { axisOrders, channelOrders, outputPoolings } from "@trommel/common";
export type { AxisOrder, ChannelOrder, Device, EngineName, OutputPooling } from "@trommel/common";
export { imagesPerShardAtMost } from "@trommel/common/recipe";

export { decodeFeatureShard, decodeProjection } from "@trommel/common";
export type {
  BackboneSpec,
  BundleManifest,
  CatalogueEntry,
  ErrorLine,
  FeatureShard,
  Ledger,
  Metrics,
  Normalization,
  PredictedRow,
  Projection,
  RunConfig,
  StopReason,
  ScoreRow,
  ScoringConfig,
  StageProgress,
} from "@trommel/common";
export type {
  BoundedFigure,
  Choice,
  Comparison,
  Estimate,
  EvaluatedFigures,
  MeasuredFigures,
  Mistake,
  ModelEvaluation,
} from "@trommel/common/artefacts";
export type { CurrentFiles } from "@trommel/coordinator/evaluation";
export type { FailedImages } from "@trommel/coordinator/run-control";
export { garbageKinds } from "@trommel/coordinator/store-keeping";
export type { GarbageKind, GarbageSum } from "@trommel/coordinator/store-keeping";
export type { ListingOverview, RunResult, RunStatus, TuningProgress } from "@trommel/coordinator/run-control";
export type { SortHow, SortLedger } from "@trommel/common/artefacts";
export type {
  AskedArchives,
  AskedManifest,
  ScoringForecast,
  TrainingForecast,
} from "@trommel/coordinator/resolve";
