import type { Tensor, Tensor2D } from "@tensorflow/tfjs-core";
import type { HeadRecipe, HeadWeights } from "@trommel/common";
import type { Tensorflow } from "../../graph/tensorflow.js";
import { joinFloats } from "../../graph/join-floats.js";
import { meanCrossEntropy } from "../model/cross-entropy.js";
import type { FactorLayer, FactorPlace } from "../noise/dropout-factors.js";
import { headLogits } from "./head-logits.js";

type Core = Tensorflow["tf"];

/** Bounds the validation rows that TensorFlow.js sees at once. */
const chunkRows = 1024;

export interface Batch {
  /** [rows, features] */
  readonly features: Float32Array;
  /** [rows, classes] */
  readonly targets: Float32Array;
  /** The factor of each row's loss. @default 1 */
  readonly rowWeights?: Float32Array | undefined;
  readonly rows: number;
}

export interface StepResult {
  /** [rows, classes], with dropout applied. */
  readonly logits: Float32Array;
  /** By weight name, each as long as its weight. */
  readonly gradients: Readonly<Record<string, Float32Array>>;
}

/** A head in training: its weights in plain arrays, its forward and backward pass in TensorFlow.js. Leaves no tensor behind. */
export class HeadNetwork {
  readonly #tf: Core;
  readonly #head: HeadRecipe;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;
  /** By name; the optimiser writes to them. */
  readonly weights: ReadonlyMap<string, Float32Array>;

  constructor(tf: Core, head: HeadRecipe, initial: HeadWeights) {
    this.#tf = tf;
    this.#head = head;
    const entries = Object.entries(initial);
    this.#shapes = new Map(entries.map(([name, { shape }]) => [name, shape]));
    this.weights = new Map(entries.map(([name, { data }]) => [name, data.slice()]));
  }

  /** A copy of the weights as they are now. */
  snapshot(): HeadWeights {
    const entries = [...this.weights].map(([name, data]) => {
      return [name, { shape: this.#shapes.get(name) ?? [], data: data.slice() }] as const;
    });
    return Object.fromEntries(entries);
  }

  /** Logits in training and the mean cross-entropy's gradient by weight. */
  gradients(batch: Batch, factorLayers: readonly FactorLayer[]): StepResult {
    const tf = this.#tf;
    const names = [...this.weights.keys()];
    let logits: Float32Array = new Float32Array();
    const gradients: Record<string, Float32Array> = {};
    // tidy() must not return arrays: it would search each of their elements for tensors.
    tf.tidy(() => {
      const inputs = this.#trainingInputs(batch, factorLayers);
      const targets = tf.tensor2d(batch.targets, [batch.rows, batch.targets.length / batch.rows]);
      const rowWeights =
        batch.rowWeights === undefined ? undefined : tf.tensor2d(batch.rowWeights, [batch.rows, 1]);
      const forward = (...tensors: Tensor[]) => {
        const weights = Object.fromEntries(names.map((name, i) => [name, tensors[i] as Tensor]));
        const output = headLogits(tf, this.#head, { weights, ...inputs });
        logits = output.dataSync<"float32">();
        return meanCrossEntropy(tf, output, targets, rowWeights);
      };
      const { grads } = tf.valueAndGrads(forward)(names.map((name) => this.#weightTensor(name)));
      for (const [i, name] of names.entries()) gradients[name] = (grads[i] as Tensor).dataSync<"float32">();
    });
    return { logits, gradients };
  }

  /**
   * Logits outside training.
   * @param features [rows, features]
   * @returns [rows, classes]
   */
  logits(features: Float32Array, rows: number): Float32Array {
    const tf = this.#tf;
    const width = features.length / rows;
    const parts: Float32Array[] = [];
    for (let start = 0; start < rows; start += chunkRows) {
      const count = Math.min(chunkRows, rows - start);
      const data = features.subarray(start * width, (start + count) * width);
      tf.tidy(() => {
        const names = [...this.weights.keys()];
        const weights = Object.fromEntries(names.map((name) => [name, this.#weightTensor(name)]));
        const chunk = tf.tensor2d(data, [count, width]);
        parts.push(
          headLogits(tf, this.#head, { weights, features: chunk, factors: {} }).dataSync<"float32">(),
        );
      });
    }
    return joinFloats(parts);
  }

  #trainingInputs(batch: Batch, factorLayers: readonly FactorLayer[]) {
    const tf = this.#tf;
    const { rows } = batch;
    const factors: Partial<Record<FactorPlace, Tensor2D>> = {};
    for (const { place, width, fill } of factorLayers) {
      const values = new Float32Array(rows * width);
      fill(values);
      factors[place] = tf.tensor2d(values, [rows, width]);
    }
    return { features: tf.tensor2d(batch.features, [rows, batch.features.length / rows]), factors };
  }

  #weightTensor(name: string): Tensor {
    return this.#tf.tensor(this.weights.get(name) as Float32Array, [...(this.#shapes.get(name) ?? [])]);
  }
}
