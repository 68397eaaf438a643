import { z } from "zod";
import type { BackboneSpec } from "./artefacts/backbones/backbone-spec.js";
import {
  normalization,
  axisOrders,
  channelOrders,
  outputPoolings,
  sha256,
} from "./artefacts/backbones/backbone-spec.js";
import { weightCatalogue, type CatalogueEntry } from "./artefacts/backbones/weight-catalogue.js";
import { partSpan } from "./artefacts/generations/part-list.js";
import type { ScoreRow } from "./artefacts/results/bundle.js";
import type { ModelEvaluation } from "./artefacts/results/model-evaluation.js";
import { workerQueues } from "./jobs/pipeline.js";

/**
 * What the command line asks of the worker package, which holds the ML runtime. The CLI loads that package only for
 * these; its options cross as plain data and are parsed on the other side.
 */

export const devices = ["cpu", "webgpu", "cuda"] as const;
export type Device = (typeof devices)[number];
export const engines = ["onnx", "tfjs"] as const;
export type EngineName = (typeof engines)[number];

/** What a worker uses for the options that it is not given. */
export const workerDefaults = Object.freeze({
  concurrency: 2,
  bytesInFlightMib: 128,
  pixelsInFlightMib: 512,
  /**
   * Base images times views per batch on the device. On a CPU no result depends on it, and time hardly does
   * (docs/decisions/2026-11-22-device-settings.md).
   */
  viewsPerBatch: Object.freeze({ cpu: 12, webgpu: 24, cuda: 24 }) satisfies Record<Device, number>,
  drainMs: 100_000,
});

/** The default of the largest number of queued, unfinished shards of one run. */
export const defaultOutstandingShards = 2000;

/** The largest values of a worker's options. */
export const workerOptionsAtMost = {
  concurrency: 64,
  threads: 1024,
  viewsPerBatch: 4096,
  mebibytes: 1 << 20,
} as const;

export const workerOptions = z
  .object({
    redisUrl: z.string(),
    storeUrl: z.string(),
    /** Shards in flight at once; the next is fetched and decoded while one is on the device. */
    concurrency: z.int().min(1).max(workerOptionsAtMost.concurrency),
    /** Threads of the device's runtime on the CPU. */
    threads: z.int().min(1).max(workerOptionsAtMost.threads),
    /** Views per batch on the device; the worker has a value for each kind of device. Changes no result on a CPU. */
    viewsPerBatch: z.int().min(1).max(workerOptionsAtMost.viewsPerBatch).optional(),
    /** MiB of files that are fetched and not decoded yet, over all shards in flight. */
    bytesInFlightMib: z.int().min(1).max(workerOptionsAtMost.mebibytes),
    /** MiB that decoding and decoded images which wait for the device take, over all shards in flight. */
    pixelsInFlightMib: z.int().min(1).max(workerOptionsAtMost.mebibytes),
    device: z.enum(devices),
    engine: z.enum(engines),
    queues: z.array(z.enum(workerQueues)).min(1),
    /** After SIGTERM shards under way may finish for this long; then they are handed back. */
    drainMs: z.int().nonnegative(),
    /** Part of a local cluster: end when the IPC channel closes. */
    embedded: z.boolean(),
    logLevel: z.string(),
    /** `host:port` that metrics are served at. @default none */
    metrics: z.string().optional(),
  })
  .strict();
export type WorkerOptions = z.infer<typeof workerOptions>;

/** The largest values of a backbone's options. */
export const backboneOptionsAtMost = { inputSize: 4096, pictures: 4096 } as const;

/** What may be said of every backbone; what is left out is the model's, the architecture's or the catalogue's. */
const backboneChoices = {
  storeUrl: z.string(),
  inputSize: z.int().min(8).max(backboneOptionsAtMost.inputSize).optional(),
  normalization: normalization.optional(),
  channelOrder: z.enum(channelOrders).optional(),
  pooling: z.enum(outputPoolings).optional(),
};

/** What may be said of a network that comes with its own layers, above all where its graph does not say it. */
const encoderChoices = {
  /** Keeps a normalisation that comes on top of the network's own. */
  forceNormalization: z.boolean().optional(),
  /** Tensor, or layer of a layers model, whose value is the embedding. */
  output: z.string().optional(),
  inputLayout: z.enum(axisOrders).optional(),
  outputLayout: z.enum(axisOrders).optional(),
  /** How many tokens come before those of the patches: the class token and registers. */
  prefixTokens: z.int().min(0).max(1024).optional(),
};

export const importOptions = z
  .object({
    ...backboneChoices,
    source: z.string(),
    name: z.string(),
    /** An architecture of the zoo, for files of Keras weights. */
    architecture: z.string().optional(),
    sha256: z.string().optional(),
    ...encoderChoices,
  })
  .strict();
export type ImportOptions = z.infer<typeof importOptions>;

export const randomOptions = z
  .object({ ...backboneChoices, name: z.string(), architecture: z.string(), seed: z.int().nonnegative() })
  .strict();
export type RandomOptions = z.infer<typeof randomOptions>;

export const pullOptions = z
  .object({
    ...backboneChoices,
    /** Name in the catalogue, or `hf:<organisation>/<name>[@<revision>]`. */
    weights: z.string(),
    /** Name in the store. @default the catalogue's */
    name: z.string().optional(),
    /** @default the built-in one */
    catalogue: weightCatalogue.optional(),
    /** The folder in which downloads are kept under their hash. */
    cacheFolder: z.string(),
    ...encoderChoices,
    /** The ONNX file in a hub's repository. */
    file: z.string().optional(),
    /** The hub's address. */
    endpoint: z.url({ protocol: /^https?$/ }),
    /** Sent to the hub alone. */
    token: z.string().optional(),
  })
  .strict();
export type PullOptions = z.infer<typeof pullOptions>;

export const quantizeOptions = z
  .object({
    storeUrl: z.string(),
    /** A name, or `name@hash12`. */
    backbone: z.string(),
    /** The name of the int8 copy. @default the backbone's with `-int8` */
    name: z.string().optional(),
    /** Absolute location of the images that ranges are measured on. */
    pictures: z.string(),
    /** How many of them. */
    count: z.int().min(1).max(backboneOptionsAtMost.pictures),
  })
  .strict();
export type QuantizeOptions = z.infer<typeof quantizeOptions>;

export const predictOptions = z
  .object({
    /** Location of the bundle. */
    bundle: z.string(),
    files: z.array(z.string()).min(1),
    topK: z.int().positive().optional(),
    unknownAbove: z.number().optional(),
    minProbability: z.union([z.number(), z.literal("thresholds")]).optional(),
    device: z.enum(devices),
    threads: z.int().min(1).max(workerOptionsAtMost.threads),
  })
  .strict();
export type PredictOptions = z.infer<typeof predictOptions>;

const evaluatedScores = z
  .object({
    model: z.object({ location: z.string(), modelSha256: sha256 }).strict(),
    /** Location of a finished scoring's output. */
    location: z.string(),
    /** Its generation, from 0, and its current parts. */
    generation: z.int().nonnegative(),
    parts: z.array(partSpan).min(1),
    /** The model's labels in output order. */
    classes: z.array(z.string()).min(2),
  })
  .strict();
export type EvaluatedScores = z.infer<typeof evaluatedScores>;

export const evaluateOptions = z
  .object({
    storeUrl: z.string(),
    /** The evaluation's folder in the store. */
    folder: z.string(),
    /** Location of the images. */
    source: z.string(),
    scores: evaluatedScores,
    /** The second model's; null without one. */
    compared: evaluatedScores.nullable(),
    /** Whether `labels.json` in the evaluation's folder has the labels, or else the images' folders. */
    labelTable: z.boolean(),
    /** Labels that belong to no image. */
    unmatchedLabels: z.int().nonnegative(),
  })
  .strict();
export type EvaluateOptions = z.infer<typeof evaluateOptions>;

export const exportFeaturesOptions = z
  .object({
    storeUrl: z.string(),
    run: z.string(),
    /** Absolute location of the target. */
    into: z.string(),
    format: z.enum(["parquet", "npy"]),
    /** @default the run's own */
    type: z.enum(["f16", "f32"]).optional(),
  })
  .strict();
export type ExportFeaturesOptions = z.infer<typeof exportFeaturesOptions>;

export interface ExportedFile {
  readonly file: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** What an export of features came to: `_SUCCESS.json` of its target. */
export interface ExportedFeatures {
  readonly formatVersion: 1;
  readonly run: string;
  /** Location of the files. */
  readonly into: string;
  readonly format: "parquet" | "npy";
  readonly type: "f16" | "f32";
  /** One for each view of each image that could be read. */
  readonly rows: number;
  /** Numbers in a row. */
  readonly dimension: number;
  /** Views of each image; the first is the image itself. */
  readonly views: number;
  readonly files: readonly ExportedFile[];
}

export type PredictedRow =
  ScoreRow | { readonly key: string; readonly error: { readonly reason: string; readonly detail: string } };

export const examineOptions = z.object({ device: z.enum(devices), timeoutMs: z.int().positive() }).strict();
export type ExamineOptions = z.infer<typeof examineOptions>;

/** One of the native libraries of a worker, and what it computed; or why it did not. */
export type RuntimePart =
  | { readonly part: "sharp"; readonly version: string; readonly libvips: string }
  | {
      readonly part: "onnxruntime";
      readonly version: string;
      /** Execution providers that this build has. */
      readonly providers: readonly string[];
      /** The one that was asked for, as it was tried. */
      readonly description: string;
    }
  | { readonly part: "sharp" | "onnxruntime"; readonly error: string };

export interface WorkerCommands {
  /** Serves the queues until it is stopped. @returns the exit code */
  runWorker(options: WorkerOptions): Promise<number>;
  importBackbone(options: ImportOptions, say: (line: string) => void): Promise<BackboneSpec>;
  /** A backbone with random weights, to try a recipe without its own. */
  randomBackbone(options: RandomOptions, say: (line: string) => void): Promise<BackboneSpec>;
  /** @param progress receives the progress of the download */
  pullBackbone(
    options: PullOptions,
    say: (line: string) => void,
    progress: (line: string) => void,
  ): Promise<BackboneSpec>;
  /** An int8 copy of a backbone in the store. */
  quantizeBackbone(options: QuantizeOptions, say: (line: string) => void): Promise<BackboneSpec>;
  /** The built-in catalogue of public weights. */
  listCatalogue(): Promise<readonly CatalogueEntry[]>;
  predict(options: PredictOptions): Promise<PredictedRow[]>;
  /** Loads the native libraries in a process of their own, and computes something small with each. */
  examineRuntime(options: ExamineOptions): Promise<RuntimePart[]>;
  /** Joins scores with labels, and writes what they come to into the evaluation's folder. */
  evaluate(options: EvaluateOptions, signal: AbortSignal): Promise<ModelEvaluation>;
  /** Writes the stored features of a run into files of their own. @param onShard receives how many of its shards are written */
  exportFeatures(
    options: ExportFeaturesOptions,
    signal: AbortSignal,
    onShard: (done: number, shards: number) => void,
  ): Promise<ExportedFeatures>;
}
