import * as ort from "onnxruntime-node";
import { loadTensorflow, type TfLayersModel, type TfWeightEntry } from "#gpu-worker/graph/tensorflow";

export interface LayersSource {
  readonly modelJson: Uint8Array;
  readonly readFile: (relativePath: string) => Promise<Uint8Array>;
}

/** Loads a layers model by TensorFlow.js itself, cut at one layer. */
export async function loadReference(source: LayersSource, output?: string): Promise<TfLayersModel> {
  const { layers } = await loadTensorflow();
  const json = JSON.parse(Buffer.from(source.modelJson).toString("utf8")) as {
    modelTopology: object;
    weightsManifest: { paths: string[]; weights: TfWeightEntry[] }[];
  };
  const buffers: Uint8Array[] = [];
  for (const path of json.weightsManifest.flatMap((group) => group.paths))
    buffers.push(await source.readFile(path));
  const model = await layers.loadLayersModel({
    load: () =>
      Promise.resolve({
        modelTopology: json.modelTopology,
        weightSpecs: json.weightsManifest.flatMap((group) => group.weights),
        weightData: Uint8Array.from(Buffer.concat(buffers)).buffer,
      }),
  });
  if (output === undefined) return model;
  return layers.model({ inputs: model.inputs, outputs: model.getLayer(output).output });
}

/** Seeded values in [-1, 1): xorshift32, so that no library decides the picture. */
export function seededValues(count: number, seed: number): Float32Array {
  let state = seed | 1;
  return Float32Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 31 - 1;
  });
}

/** [N, H, W, C] to [N, C, H, W]. */
function toChannelsFirst(values: Float32Array, batch: number, size: number, channels: number): Float32Array {
  const moved = new Float32Array(values.length);
  const pixels = size * size;
  for (let index = 0; index < values.length; index++) {
    const image = Math.floor(index / (pixels * channels));
    const pixel = Math.floor(index / channels) % pixels;
    const channel = index % channels;
    moved[(image * channels + channel) * pixels + pixel] = values[index] ?? 0;
  }
  return batch === 0 ? new Float32Array(0) : moved;
}

export async function runOnnx(
  model: Uint8Array,
  images: Float32Array,
  batch: number,
  size: number,
): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  try {
    const image = new ort.Tensor("float32", toChannelsFirst(images, batch, size, 3), [batch, 3, size, size]);
    const results = await session.run({ image });
    return results["embedding"]?.data as Float32Array;
  } finally {
    await session.release();
  }
}

/** Largest difference relative to the largest absolute reference value. */
export function relativeDifference(actual: Float32Array, reference: Float32Array): number {
  if (actual.length !== reference.length) return Infinity;
  const largest = reference.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return (
    actual.reduce((max, value, index) => Math.max(max, Math.abs(value - (reference[index] ?? NaN))), 0) /
    largest
  );
}
