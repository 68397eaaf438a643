import type { ServedEmbedding } from "@trommel/common/artefacts";
import type { BackboneSpec, Projection, Device, EngineName } from "@trommel/common";
import type { LayersFiles } from "../layers/layers-to-json.js";

/**
 * Engines turn base images into embeddings and probabilities. `onnx` is the default; `tfjs` is the independent second
 * implementation, which shares neither sampling nor network code with it.
 */

/** The device report that a worker prints. */
export interface DeviceReport {
  readonly requested: Device;
  /** The provider that computes: an execution provider of ONNX Runtime, or a backend of TensorFlow.js. */
  readonly provider: string;
  /** Threads within an operator. */
  readonly threads: number;
  /** One line for people. */
  readonly description: string;
}

/** A backbone in the form that engines use. */
export interface EngineBackbone {
  readonly spec: BackboneSpec;
  /** `model.onnx`, in the precision of the recipe. */
  readonly model: Uint8Array;
  /** `layers/`; null if the source was not a layers model. Only `tfjs` reads it. */
  readonly layers: LayersFiles | null;
}

/** B base images with V views each. */
export interface ViewBatch {
  /** [B, side, side, 3], RGB. */
  readonly pixels: Uint8Array;
  /** B */
  readonly imageCount: number;
  /** [B·V, 2, 3] */
  readonly affine: Float32Array;
  /** [B·V, 3, 4] */
  readonly colour: Float32Array;
}

export interface FeatureExtractor {
  /** D: the sum of the backbones' dimensions. */
  readonly dimension: number;
  /** @returns float32 [B·V, D]; row b·V + v belongs to view v of image b. The caller owns the array. */
  extract(batch: ViewBatch): Promise<Float32Array>;
  release(): Promise<void>;
}

export interface ExtractorOptions {
  /** In the recipe's order. */
  readonly backbones: readonly EngineBackbone[];
  /** Side of the square base image in pixels. */
  readonly side: number;
  /** V */
  readonly viewCount: number;
  /** Whether views change colours; if not, the colour matrices are ignored. */
  readonly colour: boolean;
  /**
   * View 0 of every image is the identity and need not be sampled if the image has the backbone's size. Any other matrix
   * is refused.
   * @default false
   */
  readonly identityFirst?: boolean;
}

/** What a bundle's model gives for images. The caller owns the arrays. */
export interface Classified {
  /** [imageCount, classCount], rows sum to one. */
  readonly probabilities: Float32Array;
  /** [imageCount], 0 to 1: the share of the training images that are less novel. Null if the model does not tell. */
  readonly novelty: Float32Array | null;
  /** [imageCount, dimension], of the images themselves; null if none were asked for when the model was loaded. */
  readonly embeddings: Float32Array | null;
}

export interface Classifier {
  readonly classCount: number;
  /** @param pixels [imageCount, side, side, 3], RGB */
  classify(pixels: Uint8Array, imageCount: number): Promise<Classified>;
  release(): Promise<void>;
}

/** A model without its backbones, on embeddings that were stored. */
export interface FeatureClassifier {
  /** @param embeddings [views · imageCount, D], the first views of all images before their second ones */
  classifyFeatures(embeddings: Float32Array, imageCount: number): Promise<Classified>;
  release(): Promise<void>;
}

export interface FeatureClassifierOptions {
  readonly classCount: number;
  /** D */
  readonly dimension: number;
  /** As `buildHeadGraph` makes it. */
  readonly graph: Uint8Array;
  /** Gives these embeddings as well. @default none */
  readonly embedding?: ServedEmbedding | undefined;
}

export interface ClassifierOptions {
  readonly side: number;
  readonly classCount: number;
  /** The bundle's `model.onnx`; `onnx` uses nothing else. */
  readonly model: Uint8Array;
  /** The parts of the bundle; `tfjs` uses nothing else, and refuses null. */
  readonly parts: ClassifierParts | null;
  /** Gives these embeddings as well. @default none */
  readonly embedding?: ServedEmbedding | undefined;
}

export interface ClassifierParts {
  readonly backbones: readonly EngineBackbone[];
  readonly projection: Projection | null;
  /** What the heads take of features, float32 [rows, features]: the same, or standardised. */
  readonly prepared: (features: Float32Array) => Float32Array;
  /** From float32 [rows, features] to logits float32 [rows, classCount]. */
  readonly headLogits: (features: Float32Array, rows: number) => Float32Array | Promise<Float32Array>;
  /** From float32 [rows, features] to float32 [rows]; null if the model does not tell. */
  readonly novelty: ((features: Float32Array) => Float32Array) | null;
  /** The affine matrices of the views whose logits are averaged, [2, 3] each; the first is the identity. */
  readonly views: readonly Float32Array[];
}

export interface Engine {
  readonly name: EngineName;
  readonly device: DeviceReport;
  createExtractor(options: ExtractorOptions): Promise<FeatureExtractor>;
  createClassifier(options: ClassifierOptions): Promise<Classifier>;
  /** @throws TrommelError `unsupported` by the tfjs engine */
  createFeatureClassifier(options: FeatureClassifierOptions): Promise<FeatureClassifier>;
}

export interface EngineOptions {
  readonly device: Device;
  /** Threads within an operator, at least 1. */
  readonly threads: number;
  /** Called with what a user should know about a working session. @default a line on stderr */
  readonly onNotice?: (line: string) => void;
}
