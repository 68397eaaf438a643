import { TrommelError, type Normalization } from "@trommel/common";
import { loadTensorflow } from "../../graph/tensorflow.js";
import { CheckedModel, relativeDifference } from "./checked-model.js";
import { probeImages } from "./probe-images.js";
import type { LayersFiles } from "../layers/layers-to-json.js";
import { loadLayersInTensorflow } from "../layers/load-layers-in-tensorflow.js";

/** A larger difference is an error in the compiled model. Rounding alone stays below 1e-5 on real networks. */
const parityTolerance = 1e-3;

export interface ParityOptions {
  /** The compiled ONNX file. */
  readonly model: Uint8Array;
  /** The same network in the form that TensorFlow.js reads. */
  readonly layers: LayersFiles;
  readonly inputSize: number;
  readonly normalization: Normalization;
  /** Number of seeded images for the comparison. @default 3 */
  readonly inputs?: number;
  /** What cannot be done if they differ, and what to do then. @default the words of an import */
  readonly words?: { readonly doing: string; readonly advice: string };
}

const importWords = {
  doing: "import the backbone",
  advice: "Export the model to ONNX with another tool and import that",
};

export interface Parity {
  readonly reference: string;
  readonly inputs: number;
  readonly maxRelativeDifference: number;
}

/**
 * Compares the compiled model in ONNX Runtime (CPU) with TensorFlow.js (layers, wasm) on seeded images. The difference of one
 * image is the largest over its embedding, relative to the largest absolute value of the reference.
 * @throws TrommelError `parity-failed` above 1e-3
 */
export async function checkParity(options: ParityOptions): Promise<Parity> {
  const { inputSize } = options;
  const inputs = options.inputs ?? 3;
  const images = probeImages(inputs, inputSize, options.normalization, "backbone parity");
  const actual = await embedByOnnx(options.model, images, inputs, inputSize);
  const { reference, embeddings } = await embedByTensorflow(options.layers, images, inputs, inputSize);
  const dimension = actual.length / inputs;
  const differences = embeddings.map((expected, index) =>
    relativeDifference(actual.subarray(index * dimension, (index + 1) * dimension), expected),
  );
  const maxRelativeDifference = Math.max(...differences);
  if (!(maxRelativeDifference <= parityTolerance)) {
    const { doing, advice } = options.words ?? importWords;
    throw new TrommelError(
      "parity-failed",
      `cannot ${doing}: the compiled model differs from ${reference} by ${maxRelativeDifference.toExponential(2)} ` +
        `relative, the limit is ${parityTolerance}. ${advice}`,
      { context: { maxRelativeDifference, reference, inputs } },
    );
  }
  return { reference, inputs, maxRelativeDifference };
}

async function embedByOnnx(
  model: Uint8Array,
  images: Float32Array,
  count: number,
  size: number,
): Promise<Float32Array> {
  const checked = await CheckedModel.load(model);
  try {
    return (await checked.embed(images, count, size)).values;
  } finally {
    await checked.release();
  }
}

/** One image at a time, which keeps the wasm heap small. */
async function embedByTensorflow(
  layers: LayersFiles,
  images: Float32Array,
  count: number,
  size: number,
): Promise<{ reference: string; embeddings: Float32Array[] }> {
  const tensorflow = await loadTensorflow();
  const { tf } = tensorflow;
  const model = await loadLayersInTensorflow(tensorflow, layers);
  const embeddings: Float32Array[] = [];
  try {
    for (let index = 0; index < count; index++) {
      const image = images.subarray(index * 3 * size * size, (index + 1) * 3 * size * size);
      const output = tf.tidy(() => {
        const channelsLast = tf.transpose(tf.tensor4d(image, [1, 3, size, size]), [0, 2, 3, 1]);
        return model.predict(channelsLast);
      });
      const [tensor, ...others] = Array.isArray(output) ? output : [output];
      if (tensor === undefined || others.length > 0) {
        throw new TrommelError("internal", "cannot check the backbone: the layers model has several outputs");
      }
      embeddings.push(Float32Array.from(await tensor.data()));
      tensor.dispose();
    }
  } finally {
    model.dispose();
  }
  return { reference: `tfjs-layers ${tensorflow.layers.version_layers} (${tensorflow.backend})`, embeddings };
}
