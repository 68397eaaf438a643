import type { ObjectStore, Projection, EngineName, Novelty } from "@trommel/common";
import type { RoundFigures, ServedEmbedding, Standardization } from "@trommel/common/artefacts";
import type { Flip } from "@trommel/common/recipe";
import type { StepProbe, StepTimes } from "@trommel/common/jobs";
import type { ShardTrial } from "@trommel/common/redis";
import type { Logger } from "pino";
import type {
  Classified,
  DeviceReport,
  EngineBackbone,
  ExtractorOptions,
  FeatureClassifierOptions,
  ViewBatch,
} from "../backbone/engines/engine.js";
import type { Ensemble } from "../head/model/ensemble.js";
import type { ImageBudgets } from "../image/budgets/image-budgets.js";
import type { KeptImages } from "../image/read/kept-images.js";
import type { streamImages } from "../image/read/image-stream.js";
import type { StepFigures, TuningBatch } from "../tuning/engine/tuner.js";
import type { FeatureIndexes } from "./reuse/feature-index.js";
import type { SourceStores } from "./images/source-stores.js";

/** What every stage is given besides its payload. */
export interface StageContext {
  readonly store: ObjectStore;
  readonly threads: number;
  /** What backbones and heads are computed with: `tfjs` is TensorFlow.js, the second opinion. */
  readonly engine: EngineName;
  readonly log: Logger;
  /** Aborts when the run is cancelled or the worker has to go. */
  readonly signal: AbortSignal;
  /** Images worked through so far and not committed yet; for followers only. */
  readonly onImages: (images: number) => void;
  /** What the stage is doing; for followers only. */
  readonly onNote: (note: string) => void;
  /** Bytes of images that were read; for metrics only. @default not counted */
  readonly onBytes?: (bytes: number) => void;
  /** Units done inside a stage that has several, such as epochs. */
  readonly onUnits: (done: number, total: number) => void;
}

/** The device as stages use it: models are loaded by key, batches are moved there and results back. */
export interface StageDevice {
  /** How many batches run at once. */
  readonly sessionCount: number;
  /** Time that sessions were without work since they were made, all of them together. */
  readonly idleMs: number;
  /** What computes. */
  report(): Promise<Pick<DeviceReport, "description">>;
  /** @param options called only if the model is not loaded */
  ensureExtractor(key: string, options: () => Promise<ExtractorOptions>): Promise<void>;
  ensureClassifier(key: string, options: () => Promise<ClassifierModel>): Promise<void>;
  /**
   * The batch's pixels are moved: they are gone here afterwards.
   * @param order among the batches that wait for the device the least goes first. @default 0
   * @returns float32 [B·V, D]
   */
  extract(key: string, batch: ViewBatch, order?: number): Promise<Float32Array>;
  ensureHeads(key: string, options: () => Promise<FeatureClassifierOptions>): Promise<void>;
  /**
   * The embeddings are moved.
   * @param embeddings [views · imageCount, D], the first views of all images before their second ones
   * @param order as for {@link extract}
   */
  classifyFeatures(
    key: string,
    embeddings: Float32Array,
    imageCount: number,
    order?: number,
  ): Promise<Classified>;
  /**
   * The pixels are moved.
   * @param order as for {@link extract}
   */
  classify(key: string, pixels: Uint8Array, imageCount: number, order?: number): Promise<Classified>;
}

/** What a job of tuning works on. */
export interface TunedPart {
  readonly runId: string;
  readonly round: number;
  readonly replica: number;
}

/** A network under training, in a thread of its own: that of one try of a job. */
export interface OpenTuner {
  /** What a user should know of its speed and its layers, in sentences. */
  readonly notices: readonly string[];
  /** The batch's pixels are moved: they are gone here afterwards. */
  step(batch: TuningBatch, learningRate: number): Promise<StepFigures>;
  /** Writes what the replica has come to. @param training means over its steps */
  commit(training: RoundFigures["training"]): Promise<void>;
  close(): Promise<void>;
}

/** The network that a worker tunes, one at a time. */
export interface StageTuner {
  /** Loads what the replica starts the round from, and lets go of what was open: an earlier try of the job is refused from then on. */
  open(part: TunedPart): Promise<OpenTuner>;
  /** How long a step takes, with a network of its own; what is open stays. */
  measure(probe: StepProbe): Promise<Omit<StepTimes, "drainMs">>;
}

/** A bundle's model, as a thread can be sent it. */
export interface ClassifierModel {
  readonly side: number;
  readonly classCount: number;
  /** `model.onnx` */
  readonly model: Uint8Array;
  /** Gives these embeddings as well. @default none */
  readonly embedding?: ServedEmbedding | undefined;
  /** What the bundle was made of, which only the tfjs engine needs. */
  readonly parts: {
    readonly backbones: readonly EngineBackbone[];
    readonly projection: Projection | null;
    /** With `head: auto`, instead of a projection. */
    readonly standardization: Standardization | null;
    readonly ensemble: Ensemble;
    /** With `head: auto`, if the model tells it. */
    readonly novelty: Novelty | null;
    readonly flips: readonly Flip[];
  } | null;
}

/** Stages that need the device. */
export interface DeviceStageContext extends StageContext {
  readonly device: StageDevice;
  readonly tuner: StageTuner;
  /** Base images per batch are chosen so that a batch has about this many views. */
  readonly viewsPerBatch: number;
  /** Set if a worker died of this shard, or seemed to: its files are then decoded one by one. */
  readonly trial: ShardTrial | undefined;
  /** The place of this job among those that the worker has begun: of several shards under way, the oldest goes first. */
  readonly order: number;
  /** What the images of all shards under way may take together. */
  readonly budgets: ImageBudgets;
  /** Decoded images that tuning keeps from one epoch to the next. */
  readonly keptImages: KeptImages;
  /** Gives a shard's images. @default {@link streamImages}, which fetches and decodes its files */
  readonly streamImages?: typeof streamImages | undefined;
  /** The stores that images are read from. */
  readonly sources: SourceStores;
  /** What the store's feature shards hold. */
  readonly featureIndexes: FeatureIndexes;
  /** Claims a feature shard for this job, for as long as it is under way. @returns false where another job is making it */
  readonly claimFeature: (key: string) => Promise<boolean>;
}

/** What is the same for every job of a worker. */
export type WorkerContext = Omit<
  DeviceStageContext,
  "signal" | "onImages" | "onBytes" | "onNote" | "onUnits" | "trial" | "order" | "claimFeature"
>;

/** Thrown if another job is already producing this artefact: the job is delayed and tried again. */
export class MadeElsewhere extends Error {
  override readonly name = "MadeElsewhere";
}

/** What a stage reports when it is done. */
export interface StageOutcome {
  readonly images: number;
  readonly failed: number;
  /** How many of them have each reason; for metrics. */
  readonly reasons?: Readonly<Record<string, number>>;
  /** If the stage needs the device, the share of the time (0 to 1) in which it had no job's batch; for the log and benchmarks. */
  readonly deviceIdle?: number;
  /** Images whose rows stood in the store already. */
  readonly reused?: number;
}
