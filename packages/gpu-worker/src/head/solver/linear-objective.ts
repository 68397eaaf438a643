import type { HeadWeights } from "@trommel/common";
import { figuresOfTargets, fillTargets } from "../model/cross-entropy.js";
import type { JoinedRows } from "../model/row-set.js";
import type { Evaluated } from "./lbfgs.js";

/** What a linear head is solved for. */
export interface LinearProblem {
  readonly rows: JoinedRows;
  readonly classCount: number;
  readonly hasBias: boolean;
  readonly labelSmoothing: number;
  /** By class, one in the mean over the rows; undefined if all rows weigh the same. */
  readonly classWeights: Float64Array | undefined;
}

/** Some rows with their targets. */
export interface RowChunk {
  readonly rows: number;
  /** [rows, features] */
  readonly features: Float32Array;
  /** [rows, classes] */
  readonly targets: Float32Array;
  readonly rowWeights: Float32Array;
}

export interface ChunkSlopes {
  /** Log-probabilities [rows, classes] */
  readonly logarithms: Float32Array;
  /** Σ weight · (probability − target) · features, [classes, features] */
  readonly kernel: Float32Array;
  /** Σ weight · (probability − target), [classes] */
  readonly bias: Float32Array;
}

/** Forward and backward pass of a linear head over some rows. */
export interface LinearNetwork {
  /**
   * @param kernel [classes, features]
   * @param bias zeros for a head without
   */
  slopes(kernel: Float32Array, bias: Float32Array, chunk: RowChunk): Promise<ChunkSlopes>;
  release(): Promise<void>;
}

export interface LinearEvaluated extends Evaluated {
  /** (1 / Σw) · Σ w · loss: the value without its penalty. */
  readonly loss: number;
  /** Rows whose most probable class is their label. */
  readonly correct: number;
}

/** Chunks of this many bytes of features stay in the processor's caches between forward and backward pass. */
const chunkBytes = 2 * 2 ** 20;

/**
 * The objective (1 / Σw) · Σ w · loss + (l2 / 2) · ‖W‖² of a linear head, and its gradient. Its parameters are the kernel
 * [classes, features] and then the bias, on which there is no penalty. Passes over chunks of rows are computed in float32
 * and summed in float64.
 */
export class LinearObjective {
  readonly #problem: LinearProblem;
  readonly #network: LinearNetwork;
  readonly #chunkRows: number;

  constructor(problem: LinearProblem, network: LinearNetwork) {
    this.#problem = problem;
    this.#network = network;
    this.#chunkRows = Math.max(32, Math.floor(chunkBytes / (4 * problem.rows.width)));
  }

  get start(): Float64Array {
    const { rows, classCount, hasBias } = this.#problem;
    const featureCount = rows.width;
    return new Float64Array(classCount * (featureCount + (hasBias ? 1 : 0)));
  }

  async evaluate(parameters: Float64Array, l2: number): Promise<LinearEvaluated> {
    const { rows, classCount } = this.#problem;
    const kernelLength = classCount * rows.width;
    const kernel = new Float32Array(parameters.subarray(0, kernelLength));
    const bias = new Float32Array(classCount);
    bias.set(parameters.subarray(kernelLength));
    const gradient = new Float64Array(parameters.length);
    const kernelGradient = gradient.subarray(0, kernelLength);
    const biasGradient = gradient.subarray(kernelLength);
    let [loss, correct] = [0, 0];
    for (const { labels, ...chunk } of this.#chunks()) {
      const { logarithms, ...slopes } = await this.#network.slopes(kernel, bias, chunk);
      const figures = figuresOfTargets(logarithms, { labels, ...chunk }, classCount);
      loss += figures.loss;
      correct += figures.correct;
      addTo(kernelGradient, slopes.kernel);
      addTo(biasGradient, slopes.bias);
    }
    loss /= rows.count;
    let squares = 0;
    for (let i = 0; i < gradient.length; i += 1) {
      gradient[i] = (gradient[i] as number) / rows.count;
      if (i >= kernelLength) continue;
      const weight = parameters[i] as number;
      squares += weight * weight;
      gradient[i] = (gradient[i] as number) + l2 * weight;
    }
    return { value: loss + (l2 / 2) * squares, gradient, loss, correct };
  }

  /** The head with these parameters. */
  head(parameters: Float64Array): HeadWeights {
    const { rows, classCount, hasBias } = this.#problem;
    const featureCount = rows.width;
    const kernel = new Float32Array(featureCount * classCount);
    for (let feature = 0; feature < featureCount; feature += 1) {
      for (let label = 0; label < classCount; label += 1) {
        kernel[feature * classCount + label] = parameters[label * featureCount + feature] as number;
      }
    }
    const bias = { shape: [classCount], data: Float32Array.from(parameters.subarray(kernel.length)) };
    const weights = { "output.kernel": { shape: [featureCount, classCount], data: kernel } };
    return hasBias ? { ...weights, "output.bias": bias } : weights;
  }

  *#chunks(): Generator<RowChunk & { readonly labels: Int32Array }> {
    const { rows, classCount, labelSmoothing, classWeights } = this.#problem;
    for (const part of rows.parts) {
      for (let first = 0; first < part.labels.length; first += this.#chunkRows) {
        const labels = part.labels.subarray(first, first + this.#chunkRows);
        const targets = new Float32Array(labels.length * classCount);
        fillTargets(targets, labels, classCount, labelSmoothing);
        const end = first + labels.length;
        const features = part.features.subarray(first * rows.width, end * rows.width);
        const rowWeights = Float32Array.from(labels, (label) => classWeights?.[label] ?? 1);
        yield { rows: labels.length, labels, features, targets, rowWeights };
      }
    }
  }
}

/** Adds the values that the sums have room for: a head without bias has none for the bias. */
function addTo(sums: Float64Array, values: Float32Array): void {
  for (let i = 0; i < sums.length; i += 1) sums[i] = (sums[i] as number) + (values[i] as number);
}
