import { TrommelError, messageOf } from "@trommel/common";
import type { Tensorflow, TfLayersModel, TfWeightEntry } from "../../graph/tensorflow.js";
import type { LayersFiles } from "./layers-to-json.js";

/**
 * Loads the layers model of a stored backbone (see layers-to-json.ts) into TensorFlow.js. The caller must dispose of it.
 * @throws TrommelError `unsupported` if TensorFlow.js does not have one of its layers
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
  // Copied because TensorFlow.js needs an ArrayBuffer of exactly these bytes.
  const weightData = Uint8Array.from(files.weightsBin).buffer;
  try {
    return await layers.loadLayersModel({
      load: () => Promise.resolve({ modelTopology: json.modelTopology, weightSpecs, weightData }),
    });
  } catch (cause) {
    throw new TrommelError(
      "unsupported",
      `cannot load the layers model into TensorFlow.js: ${messageOf(cause)}. ` +
        "Without this second implementation it cannot be checked: export the model to ONNX and import that",
      { cause },
    );
  }
}
