import { layerError } from "./layer-config.js";
import type { LayerNode } from "./layers-topology.js";

/** Supported activations by TensorFlow.js's name, with other spellings found in saved models. */
const spellings: Readonly<Record<string, readonly string[]>> = {
  linear: ["identity"],
  relu: [],
  relu6: ["relu_6", "mobilenet>relu6", "mobilenet.relu6", "mobilenet_v2>relu6", "keras_applications>relu6"],
  elu: [],
  selu: [],
  gelu: [],
  sigmoid: [],
  hard_sigmoid: ["hardsigmoid"],
  tanh: [],
  softmax: [],
  softplus: [],
  softsign: [],
  swish: ["silu", "swish_f", "efficientnet>swish", "efficientnet.swish"],
  mish: [],
};

/** Canonical names of the supported activations. */
export const servedActivations: readonly string[] = Object.keys(spellings);

const canonical = new Map(
  Object.entries(spellings).flatMap(([name, others]) =>
    [name, ...others].map((spelling) => [spelling, name]),
  ),
);

/** Canonical name of a layer's fused activation, or of an Activation layer. */
export function activationOf(layer: Pick<LayerNode, "name" | "className" | "config">): string {
  const given = layer.config["activation"] ?? "linear";
  const named = typeof given === "object" ? (given as { class_name?: unknown }).class_name : given;
  const spelling = typeof named === "string" ? named.toLowerCase() : "";
  const name = canonical.get(spelling) ?? canonical.get(spelling.slice(spelling.lastIndexOf(">") + 1));
  if (name !== undefined) return name;
  throw layerError(
    layer,
    `activation ${JSON.stringify(given)} is unknown (legal: ${Object.keys(spellings).join(", ")})`,
  );
}
