import "@trommel/common/without-telemetry";
import {
  importOptions,
  parseAs,
  predictOptions,
  pullOptions,
  randomOptions,
  workerOptions,
  type WorkerCommands,
} from "@trommel/common";
import {
  evaluateOptions,
  examineOptions,
  exportFeaturesOptions,
  quantizeOptions,
} from "@trommel/common/worker-commands";
import { serveQueues } from "./worker/worker.js";

/** What the command line may ask of this package; options are parsed here, at the boundary. */

export const runWorker: WorkerCommands["runWorker"] = (options) =>
  serveQueues(parseAs(workerOptions, options, "the worker's options"));

export const importBackbone: WorkerCommands["importBackbone"] = async (options, say) => {
  const { importFromLocation } = await import("./commands/import-command.js");
  return importFromLocation(parseAs(importOptions, options, "the import's options"), say);
};

export const randomBackbone: WorkerCommands["randomBackbone"] = async (options, say) => {
  const { importRandom } = await import("./commands/import-command.js");
  return importRandom(parseAs(randomOptions, options, "the random backbone's options"), say);
};

export const pullBackbone: WorkerCommands["pullBackbone"] = async (options, say, progress) => {
  const { importFromCatalogue } = await import("./commands/import-command.js");
  return importFromCatalogue(parseAs(pullOptions, options, "the pull's options"), say, progress);
};

export const quantizeBackbone: WorkerCommands["quantizeBackbone"] = async (options, say) => {
  const { quantizeStored } = await import("./commands/quantize-command.js");
  return quantizeStored(parseAs(quantizeOptions, options, "the quantisation's options"), say);
};

export const listCatalogue: WorkerCommands["listCatalogue"] = async () => {
  const { catalogue } = await import("./backbone/download/catalogue.js");
  return catalogue;
};

export const predict: WorkerCommands["predict"] = async (options) => {
  const { predictFiles } = await import("./commands/predict-command.js");
  return predictFiles(parseAs(predictOptions, options, "the prediction's options"));
};

export const examineRuntime: WorkerCommands["examineRuntime"] = async (options) => {
  const { examineLibraries } = await import("./commands/examine/examine-runtime.js");
  return examineLibraries(parseAs(examineOptions, options, "the examination's options"));
};

export const evaluate: WorkerCommands["evaluate"] = async (options, signal) => {
  const { evaluateScores } = await import("./evaluation/evaluate-scores.js");
  return evaluateScores(parseAs(evaluateOptions, options, "the evaluation's options"), signal);
};

export const exportFeatures: WorkerCommands["exportFeatures"] = async (options, signal, onShard) => {
  const { exportFeatures: write } = await import("./exports/export-features.js");
  return write(parseAs(exportFeaturesOptions, options, "the export's options"), signal, onShard);
};
