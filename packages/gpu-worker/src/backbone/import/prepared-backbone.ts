import { TrommelError, type BackboneSpec, type Normalization, type Pooling } from "@trommel/common";
import { decodeModel } from "../../graph/onnx/onnx-model.js";
import type { ModelProto } from "../../graph/onnx/onnx-proto.js";
import { checkWeights } from "../checks/check-weights.js";
import { checkParity, type Parity } from "./check-parity.js";
import { cutAt } from "../layers/cut-layers.js";
import { layersToJson, type LayersFiles } from "../layers/layers-to-json.js";
import type { LayersModel } from "../layers/layers-model.js";
import { compileLayers } from "../compile/layers-to-onnx.js";

/** A backbone in the standard form, before it is stored. */
export interface PreparedBackbone {
  readonly model: Uint8Array;
  readonly layers: LayersFiles | undefined;
  readonly dimension: number;
  readonly inputSize: number;
  readonly opset: number;
  readonly output: string;
  readonly pooling: BackboneSpec["source"]["pooling"];
  readonly parity: Parity | null;
  /** The layout of input and output, for people. @default that of a layers model */
  readonly layout?: string;
  /** As Keras counts. @default the parameters of the compiled model */
  readonly parameterCount?: number;
}

export interface PrepareLayersOptions {
  /** Layer at which the network is cut. @default the model's only output */
  readonly output?: string;
  /** Side of the square input in pixels. @default the side that the model declares */
  readonly inputSize?: number;
  /** Used if the output is spatial. @default "average" */
  readonly pooling?: Pooling;
  /** Also chosen by what the compiled network does to its pixels. */
  readonly normalization: Normalization | ((compiled: ModelProto) => Normalization);
  readonly log: (line: string) => void;
}

/**
 * Compiles a layers model and checks it against TensorFlow.js.
 * @throws TrommelError as the compiler does, `parity-failed`, `invalid-argument` if no size is known
 */
export async function prepareLayers(
  model: LayersModel,
  { log, normalization, ...options }: PrepareLayersOptions,
): Promise<PreparedBackbone> {
  const inputSize = options.inputSize ?? declaredSize(cutAt(model, options.output).input.config);
  const compiled = compileLayers(model, {
    inputSize,
    ...(options.output === undefined ? {} : { output: options.output }),
    ...(options.pooling === undefined ? {} : { pooling: options.pooling }),
  });
  log(
    `compiled ${compiled.cut.layers.length} layers up to ${compiled.cut.output}: ${compiled.dimension}-dimensional embedding`,
  );
  const layers = layersToJson(compiled.cut, { inputSize, pooling: compiled.pooling });
  const network = decodeModel(compiled.model);
  checkWeights(network, "the backbone");
  const chosen = typeof normalization === "function" ? normalization(network) : normalization;
  const parity = await checkParity({ model: compiled.model, layers, inputSize, normalization: chosen });
  log(
    `largest difference from ${parity.reference} on ${parity.inputs} inputs: ${parity.maxRelativeDifference.toExponential(2)} relative`,
  );
  const { dimension, opset, pooling, model: bytes } = compiled;
  return { model: bytes, layers, dimension, inputSize, opset, output: compiled.cut.output, pooling, parity };
}

function declaredSize(config: Readonly<Record<string, unknown>>): number {
  const shape = config["batch_input_shape"] ?? config["batch_shape"];
  const side: unknown = Array.isArray(shape) ? shape[1] : undefined;
  if (typeof side === "number") return side;
  throw new TrommelError(
    "invalid-argument",
    "cannot import the backbone: its layers model accepts images of any size. Set the input size with --size",
  );
}
