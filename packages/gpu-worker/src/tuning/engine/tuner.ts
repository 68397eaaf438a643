import type { NamedTensor, Pooling, StepOptimizerRecipe } from "@trommel/common";
import type { CutLayers } from "../../backbone/layers/cut-layers.js";
import type { InputContract } from "../../graph/sampling.js";
import type { Norm } from "../layers/trained-weights.js";

/** What a tuning trains, and how. */
export interface TuningSetting {
  /** The backbone's layers. */
  readonly cut: CutLayers;
  readonly contract: InputContract;
  /** Side of the square base image in pixels. */
  readonly side: number;
  /** Whether views change colours. */
  readonly colour: boolean;
  /** How a spatial output becomes a vector. */
  readonly pooling: Pooling;
  readonly classCount: number;
  /** Images of every step. */
  readonly batchSize: number;
  /** Names of the layers that train. */
  readonly trained: ReadonlySet<string>;
  /** What the batch normalisations among them do; the others keep the statistics that they came with. */
  readonly norm: Norm;
  /** Share of a step's batch statistics in the running ones. */
  readonly statisticsMomentum: number;
  readonly optimizer: StepOptimizerRecipe;
  /** Factors of the learning rate by layer; 1 where absent. */
  readonly rateFactors: ReadonlyMap<string, number>;
  /** Bound on the norm of all gradients together; null bounds nothing. */
  readonly clipNorm: number | null;
  /** Decay of the exponential average of the weights; null keeps none. */
  readonly averageDecay: number | null;
  /** Whether batches bring factors of the embedding. */
  readonly hasDropout: boolean;
  /** Whether batches bring partners to mix with. */
  readonly hasMixup: boolean;
  readonly threads: number;
  /** Bound on the memory of the process that takes a step, in megabytes, see `planStep`. @default null, which bounds nothing */
  readonly memoryMb?: number | null;
  /**
   * `mixed` computes convolutions and products in float16, everything else in float32, and leaves out a step whose gradients are not
   * finite. @default "fp32"
   */
  readonly precision?: "fp32" | "mixed";
}

export interface TuningBatch {
  /** uint8 [B, side, side, 3], RGB. */
  readonly pixels: Uint8Array;
  /** float32 [B, 2, 3] */
  readonly affine: Float32Array;
  /** float32 [B, 3, 4] */
  readonly colour: Float32Array;
  /** float32 [B, classes]; each row sums up to one. */
  readonly targets: Float32Array;
  /** float32 [B]: the loss is the sum of each row's cross-entropy times its share. */
  readonly rowShares: Float32Array;
  /** Mixup: each image's normalised pixels are `share` of its own and the rest of its partner's. */
  readonly mix: { readonly partner: Int32Array; readonly share: number } | null;
  /** float32 [B, D] */
  readonly dropout: Float32Array | null;
}

/**
 * All that a step changes, by name: `weights/<layer>/<weight>`, running statistics and the layer `classifier` included,
 * `moments/<kind>/<layer>/<weight>` and `average/<layer>/<weight>`. Shapes and order are Keras's.
 */
export interface TuningState {
  /** Steps taken. */
  readonly step: number;
  readonly tensors: ReadonlyMap<string, NamedTensor>;
}

export interface StepFigures {
  readonly loss: number;
  /** Images whose largest probability is at their largest target. */
  readonly correct: number;
}

/** A network under training. */
export interface Tuner {
  step(batch: TuningBatch, learningRate: number): Promise<StepFigures>;
  /** A copy. */
  state(): TuningState;
  release(): Promise<void>;
}

export type CreateTuner = (setting: TuningSetting, start: TuningState) => Promise<Tuner>;
