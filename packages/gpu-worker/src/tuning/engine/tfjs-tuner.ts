import type { Tensor, Tensor2D, Tensor4D } from "@tensorflow/tfjs-core";
import { sampleView } from "../../backbone/engines/view-sampling.js";
import { loadTensorflow, type LoadTensorflowOptions, type Tensorflow } from "../../graph/tensorflow.js";
import { figuresOf } from "./step-figures.js";
import { addMissingKernels } from "./tfjs-kernels.js";
import { replaceMaxPoolGradient } from "./tfjs-max-pool.js";
import { TfjsNetwork } from "./tfjs-network.js";
import { TunedWeights, type Slopes } from "./tfjs-weights.js";
import { classifierLayer } from "./tuned-tensors.js";
import type { StepFigures, Tuner, TuningBatch, TuningSetting, TuningState } from "./tuner.js";

/**
 * Trains by TensorFlow.js's gradients: the second implementation, which shares neither views nor network nor optimiser with the
 * compiled one. Its states are the same, so that either continues the other's checkpoints. A step blocks its thread; the wasm
 * backend computes on one thread, whatever `threads` says.
 */
export async function createTfjsTuner(
  setting: TuningSetting,
  start: TuningState,
  options: LoadTensorflowOptions = {},
): Promise<Tuner> {
  const tensorflow = await loadTensorflow(options);
  addMissingKernels(tensorflow.tf);
  replaceMaxPoolGradient(tensorflow.tf);
  const network = await TfjsNetwork.open(tensorflow, setting);
  try {
    return new TfjsTuner(tensorflow, setting, start, network);
  } catch (thrown) {
    network.dispose();
    throw thrown;
  }
}

class TfjsTuner implements Tuner {
  readonly #tensorflow: Tensorflow;
  readonly #setting: TuningSetting;
  readonly #network: TfjsNetwork;
  readonly #weights: TunedWeights;

  constructor(tensorflow: Tensorflow, setting: TuningSetting, start: TuningState, network: TfjsNetwork) {
    this.#tensorflow = tensorflow;
    this.#setting = setting;
    this.#network = network;
    this.#weights = new TunedWeights(setting, start, network.dimension);
  }

  step(batch: TuningBatch, learningRate: number): Promise<StepFigures> {
    const { logarithms, ...slopes } = this.#differentiate(batch);
    this.#weights.step(slopes, learningRate);
    return Promise.resolve(figuresOf(logarithms, batch, this.#setting.classCount));
  }

  state(): TuningState {
    return this.#weights.state();
  }

  release(): Promise<void> {
    this.#network.dispose();
    return Promise.resolve();
  }

  /** @returns with log-probabilities [B, classes] */
  #differentiate(batch: TuningBatch): Slopes & { readonly logarithms: Float32Array } {
    const { tf } = this.#tensorflow;
    const { trained } = this.#weights;
    const gradients: Record<string, Float32Array> = {};
    const measured = new Map<string, Float32Array>();
    let logarithms: Float32Array = new Float32Array();
    // tidy() must not return arrays: it would search each of their elements for tensors.
    tf.tidy(() => {
      const prefix = this.#network.prefix(this.#images(batch));
      const lossOf = (...tensors: Tensor[]): Tensor => {
        const weights = new Map(trained.map(({ name }, index) => [name, tensors[index] as Tensor]));
        const { embedding, statistics } = this.#network.embed(prefix, weights);
        for (const [layer, { mean, variance }] of statistics) {
          measured.set(`${layer}/moving_mean`, mean.dataSync<"float32">());
          measured.set(`${layer}/moving_variance`, variance.dataSync<"float32">());
        }
        const logits = this.#logits(embedding, weights, batch);
        const found = tf.logSoftmax(logits);
        logarithms = found.dataSync<"float32">();
        return this.#loss(found, batch);
      };
      const inputs = trained.map(({ name, kerasShape }) =>
        tf.tensor(this.#weights.weight(name), [...kerasShape]),
      );
      const { grads } = tf.valueAndGrads(lossOf)(inputs);
      for (const [index, { name }] of trained.entries()) {
        gradients[name] = (grads[index] as Tensor).dataSync<"float32">().slice();
      }
    });
    return { gradients, measured, logarithms };
  }

  /** The views, normalised and mixed: [B, inputSize, inputSize, 3]. */
  #images({ pixels, affine, colour, mix }: TuningBatch): Tensor4D {
    const { side, contract, batchSize, colour: isColoured } = this.#setting;
    const size = contract.inputSize;
    const length = size * size * 3;
    const images = new Float32Array(batchSize * length);
    for (let image = 0; image < batchSize; image += 1) {
      const view = {
        pixels: pixels.subarray(image * side * side * 3, (image + 1) * side * side * 3),
        side,
        affine: affine.subarray(image * 6, image * 6 + 6),
        colour: isColoured ? colour.subarray(image * 12, image * 12 + 12) : null,
      };
      sampleView(view, contract, images.subarray(image * length, (image + 1) * length));
    }
    const mixed = mix === null ? images : mixedWithPartners(images, length, mix);
    return this.#tensorflow.tf.tensor4d(mixed, [batchSize, size, size, 3]);
  }

  #logits(embedding: Tensor2D, weights: ReadonlyMap<string, Tensor>, { dropout }: TuningBatch): Tensor2D {
    const { tf } = this.#tensorflow;
    const dropped =
      dropout === null ? embedding : tf.mul<Tensor2D>(embedding, tf.tensor2d(dropout, embedding.shape));
    const product = tf.matMul(dropped, weights.get(`${classifierLayer}/kernel`) as Tensor2D);
    return tf.add(product, weights.get(`${classifierLayer}/bias`) as Tensor);
  }

  #loss(logarithms: Tensor2D, { targets, rowShares }: TuningBatch): Tensor {
    const { tf } = this.#tensorflow;
    const wanted = tf.mul(
      tf.tensor2d(targets, logarithms.shape),
      tf.tensor2d(rowShares, [rowShares.length, 1]),
    );
    return tf.neg(tf.sum(tf.mul(wanted, logarithms)));
  }
}

function mixedWithPartners(
  images: Float32Array,
  length: number,
  { partner, share }: NonNullable<TuningBatch["mix"]>,
): Float32Array {
  return images.map((own, at) => {
    const other = images[(partner[Math.floor(at / length)] as number) * length + (at % length)] as number;
    return other + (own - other) * share;
  });
}
