import { SeededRandom } from "@trommel/common";
import type { EngineBackbone } from "#gpu-worker/backbone/engines/engine";
import type { LayersFiles } from "#gpu-worker/backbone/layers/layers-to-json";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { loadTensorflow } from "#gpu-worker/graph/tensorflow";
import { windowBackbone } from "./small-backbones.js";

const kernel = 3;

/** One convolution, ReLU6 and the mean over the picture, written by hand twice: as ONNX and as a layers model. */
export async function twofoldBackbone(
  inputSize: number,
  dimension: number,
  given: Parameters<typeof windowBackbone>[1] = {},
): Promise<EngineBackbone> {
  const random = new SeededRandom(dimension);
  const weights = Float32Array.from({ length: kernel * kernel * 3 * dimension }, () => random.normal() / 2);
  const bias = Float32Array.from({ length: dimension }, () => random.normal());
  return {
    spec: { ...windowBackbone(inputSize, given).spec, dimension },
    model: asOnnx(inputSize, dimension, weights, bias),
    layers: await asLayers(inputSize, dimension, weights, bias),
  };
}

/** @param weights [row, column, from, to], as TensorFlow has them */
function asOnnx(inputSize: number, dimension: number, weights: Float32Array, bias: Float32Array): Uint8Array {
  const turned = new Float32Array(weights.length);
  for (let place = 0; place < kernel * kernel; place += 1) {
    for (let from = 0; from < 3; from += 1) {
      for (let to = 0; to < dimension; to += 1) {
        turned[(to * 3 + from) * kernel * kernel + place] =
          weights[(place * 3 + from) * dimension + to] ?? NaN;
      }
    }
  }
  const builder = new GraphBuilder();
  const image = builder.input("image", "float32", ["n", 3, inputSize, inputSize]);
  const constants = [
    builder.constant("kernel", "float32", [dimension, 3, kernel, kernel], turned),
    builder.constant("bias", "float32", [dimension], bias),
  ];
  const convolved = builder.node("Conv", [image, ...constants], {
    kernel_shape: [kernel, kernel],
    pads: [1, 1, 1, 1],
  });
  const limits = [0, 6].map((value) => builder.constant("limit", "float32", [], Float32Array.of(value)));
  const pooled = builder.node("GlobalAveragePool", [builder.node("Clip", [convolved, ...limits])]);
  builder.output("embedding", "float32", ["n", dimension], builder.node("Flatten", [pooled], { axis: 1 }));
  return builder.encode();
}

async function asLayers(
  inputSize: number,
  dimension: number,
  weights: Float32Array,
  bias: Float32Array,
): Promise<LayersFiles> {
  const { tf, layers } = await loadTensorflow();
  const model = layers.sequential({
    layers: [
      layers.layers.conv2d({
        inputShape: [inputSize, inputSize, 3],
        filters: dimension,
        kernelSize: kernel,
        padding: "same",
        weights: [tf.tensor(weights, [kernel, kernel, 3, dimension]), tf.tensor(bias)],
      }),
      layers.layers.reLU({ maxValue: 6 }),
      layers.layers.globalAveragePooling2d({}),
    ],
  });
  const files = await layersFiles(model);
  model.dispose();
  return files;
}

type LayersModel = Awaited<
  ReturnType<Awaited<ReturnType<typeof loadTensorflow>>["layers"]["loadLayersModel"]>
>;

/** A layers model as it lies in the store. */
async function layersFiles(model: Pick<LayersModel, "save">): Promise<LayersFiles> {
  let files: LayersFiles | undefined;
  await model.save({
    save: (artifacts) => {
      const { modelTopology, weightSpecs, weightData } = artifacts;
      const chunks = Array.isArray(weightData) ? weightData : [weightData ?? new ArrayBuffer(0)];
      const modelJson = {
        modelTopology,
        weightsManifest: [{ paths: ["weights.bin"], weights: weightSpecs }],
      };
      files = {
        modelJson: Buffer.from(JSON.stringify(modelJson)),
        weightsBin: Buffer.concat(chunks.map((chunk: ArrayBuffer) => new Uint8Array(chunk))),
      };
      return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } });
    },
  });
  if (files === undefined) throw new Error("TensorFlow.js saved nothing");
  return files;
}
