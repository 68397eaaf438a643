import { TrommelError, messageOf } from "@trommel/common";
import type { Tensorflow, TfLayersModel, TfWeightEntry } from "../../graph/tensorflow.js";
import type { LayersFiles } from "./layers-to-json.js";

/**
 * Loads the layers model of a stored backbone (see layers-to-json.ts) into TensorFlow.js. The caller disposes of it.
 * @throws TrommelError `unsupported` when TensorFlow.js has no such layer
 */
export async function loadLayersInTensorflow(
  { layers }: Tensorflow,
  files: LayersFiles,
): Promise<TfLayersModel> {
  const json = JSON.parse(Buffer.from(files.modelJson).toString("utf8")) as {
    modelTopology: object;
    weightsManifest: { weights: TfWeightEntry[] }[];
  };
  const weightSpecs = json.weightsManifest.flatMap((group) => group.weights);
  // A copy: TensorFlow.js wants an ArrayBuffer of exactly these bytes.
  const weightData = Uint8Array.from(files.weightsBin).buffer;
  try {
    return await layers.loadLayersModel({
      load: () => Promise.resolve({ modelTopology: json.modelTopology, weightSpecs, weightData }),
    });
  } catch (cause) {
    throw new TrommelError(
      "unsupported",
      `failed to load the layers model into TensorFlow.js: ${messageOf(cause)}. ` +
        "Without a second implementation it cannot be checked: export the model to ONNX and import that.",
      { cause },
    );
  }
}
