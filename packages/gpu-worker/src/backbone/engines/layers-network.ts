import type { Tensor } from "@tensorflow/tfjs-core";
import { type BackboneSpec, TrommelError } from "@trommel/common";
import { dimensionOf } from "../../graph/extraction-graph.js";
import type { Tensorflow } from "../../graph/tensorflow.js";
import type { LayersFiles } from "../layers/layers-to-json.js";
import { loadLayersInTensorflow } from "../layers/load-layers-in-tensorflow.js";
import type { EngineBackbone } from "./engine.js";
import { type SampledView, sampleView } from "./view-sampling.js";

/** A backbone's layers model, loaded. */
export interface Network {
  readonly spec: BackboneSpec;
  /** [rows, inputSize, inputSize, 3] → [rows, dimension] */
  predict(input: Float32Array, rows: number): Promise<Float32Array>;
  dispose(): void;
}

/** Limit of rows per prediction: TensorFlow.js keeps the outputs of all layers for a batch in memory at once. */
const rowsPerPrediction = 8;

/** @returns float32 [views, D], the embeddings side by side */
export async function embed(
  networks: readonly Network[],
  views: readonly SampledView[],
): Promise<Float32Array> {
  const dimension = dimensionOf(networks);
  const features = new Float32Array(views.length * dimension);
  let offset = 0;
  for (const network of networks) {
    const { spec } = network;
    const inputLength = spec.inputSize * spec.inputSize * 3;
    for (let first = 0; first < views.length; first += rowsPerPrediction) {
      const some = views.slice(first, first + rowsPerPrediction);
      const input = new Float32Array(some.length * inputLength);
      some.forEach((view, i) => {
        sampleView(view, spec, input.subarray(i * inputLength, (i + 1) * inputLength));
      });
      const embeddings = await network.predict(input, some.length);
      for (let row = 0; row < some.length; row += 1) {
        const embedding = embeddings.subarray(row * spec.dimension, (row + 1) * spec.dimension);
        features.set(embedding, (first + row) * dimension + offset);
      }
    }
    offset += spec.dimension;
  }
  return features;
}

/** @throws TrommelError `unsupported` if a backbone has no layers */
export async function openNetworks(
  tensorflow: Tensorflow,
  backbones: readonly EngineBackbone[],
): Promise<Network[]> {
  const networks: Network[] = [];
  for (const { spec, layers } of backbones) {
    if (layers === null) {
      throw new TrommelError(
        "unsupported",
        `cannot open the backbone ${spec.name} with the tfjs engine: it was imported from ONNX and has no layers. Use --engine onnx`,
      );
    }
    networks.push(await openNetwork(tensorflow, spec, layers));
  }
  return networks;
}

async function openNetwork(tensorflow: Tensorflow, spec: BackboneSpec, files: LayersFiles): Promise<Network> {
  const { tf } = tensorflow;
  const model = await loadLayersInTensorflow(tensorflow, files);
  return {
    spec,
    async predict(input, rows) {
      const image = tf.tensor4d(input, [rows, spec.inputSize, spec.inputSize, 3]);
      const output = model.predict(image) as Tensor;
      try {
        if (output.shape.join() !== `${rows},${spec.dimension}`) {
          throw new TrommelError(
            "corrupt",
            `cannot use the backbone ${spec.name}: its layers return [${output.shape.join()}], not [${rows},${spec.dimension}]. Import it again`,
          );
        }
        return (await output.data()) as Float32Array;
      } finally {
        tf.dispose([image, output]);
      }
    },
    dispose: () => {
      model.dispose();
    },
  };
}

export function releaseNetworks(networks: readonly Network[]): Promise<void> {
  for (const network of networks) network.dispose();
  return Promise.resolve();
}
