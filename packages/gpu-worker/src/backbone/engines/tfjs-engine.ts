import { type Projection, TrommelError } from "@trommel/common";
import { dimensionOf } from "../../graph/extraction-graph.js";
import { type Tensorflow, loadTensorflow } from "../../graph/tensorflow.js";
import { checkBatch, checkPixels } from "./batch.js";
import type {
  Classifier,
  ClassifierOptions,
  ClassifierParts,
  Engine,
  EngineOptions,
  ExtractorOptions,
  FeatureExtractor,
} from "./engine.js";
import { embed, openNetworks, releaseNetworks } from "./layers-network.js";
import type { SampledView } from "./view-sampling.js";

/**
 * TensorFlow.js on the layers models themselves: the second implementation. On the CPU it runs as WebAssembly on one thread,
 * whatever `threads` says; on `cuda` it needs @tensorflow/tfjs-node-gpu.
 * @throws TrommelError `device-unavailable` for `webgpu`, and if the backend does not start
 */
export async function createTfjsEngine(options: EngineOptions): Promise<Engine> {
  const { device } = options;
  if (device === "webgpu") {
    throw new TrommelError(
      "device-unavailable",
      "cannot use the device webgpu: the tfjs engine supports cpu and cuda under Node. Choose one of them, or --engine onnx",
      { context: { device, backends: ["cpu", "cuda"] } },
    );
  }
  const tensorflow = await loadTensorflow({ backend: device === "cuda" ? "node-gpu" : "wasm" });
  const description = `TensorFlow.js ${tensorflow.tf.version_core}, backend ${tensorflow.backend}`;
  return {
    name: "tfjs",
    device: { requested: device, provider: tensorflow.backend, threads: 1, description },
    createExtractor: (extractor) => createExtractor(tensorflow, extractor),
    createClassifier: (classifier) => createClassifier(tensorflow, classifier),
    createFeatureClassifier: () =>
      Promise.reject(
        new TrommelError(
          "unsupported",
          "cannot score stored features with the tfjs engine: it takes pictures alone. Use --engine onnx",
        ),
      ),
  };
}

async function createExtractor(tensorflow: Tensorflow, options: ExtractorOptions): Promise<FeatureExtractor> {
  const { side, viewCount } = options;
  const networks = await openNetworks(tensorflow, options.backbones);
  return {
    dimension: dimensionOf(options.backbones),
    async extract(batch) {
      checkBatch(batch, options);
      const views = Array.from({ length: batch.imageCount * viewCount }, (_, view): SampledView => {
        const image = Math.floor(view / viewCount);
        return {
          pixels: batch.pixels.subarray(image * side * side * 3, (image + 1) * side * side * 3),
          side,
          affine: batch.affine.subarray(view * 6, view * 6 + 6),
          colour: options.colour ? batch.colour.subarray(view * 12, view * 12 + 12) : null,
        };
      });
      return await embed(networks, views);
    },
    release: () => releaseNetworks(networks),
  };
}

async function createClassifier(tensorflow: Tensorflow, options: ClassifierOptions): Promise<Classifier> {
  const { side, classCount, parts, embedding } = options;
  if (parts === null) {
    throw new TrommelError(
      "invalid-argument",
      "cannot score with the tfjs engine: it needs the backbones' layers, and only the bundle's model.onnx is available. Use --engine onnx",
    );
  }
  const networks = await openNetworks(tensorflow, parts.backbones);
  return {
    classCount,
    async classify(pixels, imageCount) {
      checkPixels(pixels, imageCount, side);
      // View 0 of all images, then the next one of all.
      const views = parts.views.flatMap((affine) =>
        Array.from({ length: imageCount }, (_, image): SampledView => {
          const bytes = pixels.subarray(image * side * side * 3, (image + 1) * side * side * 3);
          return { pixels: bytes, side, affine, colour: null };
        }),
      );
      const embeddings = await embed(networks, views);
      const features = projected(parts, embeddings, views.length);
      const logits = await parts.headLogits(features, views.length);
      const first = (rows: Float32Array): Float32Array =>
        rows.slice(0, (rows.length / views.length) * imageCount);
      const ofImages = first(features);
      return {
        probabilities: softmax(meanOfParts(logits, parts.views.length), classCount),
        novelty: parts.novelty?.(ofImages) ?? null,
        embeddings:
          embedding === undefined
            ? null
            : embedding.vector === "raw"
              ? first(embeddings)
              : parts.prepared(ofImages),
      };
    },
    release: () => releaseNetworks(networks),
  };
}

function projected(parts: ClassifierParts, embeddings: Float32Array, rows: number): Float32Array {
  return parts.projection === null ? embeddings : project(embeddings, rows, parts.projection);
}

/** The mean of as many equal parts. */
function meanOfParts(values: Float32Array, parts: number): Float32Array {
  const length = values.length / parts;
  return Float32Array.from({ length }, (_, at) => {
    let sum = 0;
    for (let part = 0; part < parts; part += 1) sum += values[part * length + at]!;
    return sum / parts;
  });
}

/** z = (x - mean) · basis · scale, row by row in float64. */
function project(embeddings: Float32Array, rows: number, projection: Projection): Float32Array {
  const { dimension, components, mean, basis, scale } = projection;
  const features = new Float32Array(rows * components);
  const sums = new Float64Array(components);
  for (let row = 0; row < rows; row += 1) {
    sums.fill(0);
    for (let i = 0; i < dimension; i += 1) {
      const value = embeddings[row * dimension + i]! - mean[i]!;
      for (let j = 0; j < components; j += 1) sums[j]! += value * basis[i * components + j]!;
    }
    features.set(
      sums.map((sum) => sum * scale),
      row * components,
    );
  }
  return features;
}

function softmax(logits: Float32Array, classCount: number): Float32Array {
  const probabilities = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += classCount) {
    const row = logits.subarray(start, start + classCount);
    const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const exponentials = Float64Array.from(row, (value) => Math.exp(value - largest));
    const sum = exponentials.reduce((a, b) => a + b, 0);
    probabilities.set(
      exponentials.map((value) => value / sum),
      start,
    );
  }
  return probabilities;
}
