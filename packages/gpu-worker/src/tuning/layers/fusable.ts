import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import { numberOf } from "../../backbone/layers/layer-config.js";
import type { FusedActivation } from "../tape/fused-activation.js";

/** The activation of that name, if operations can apply it themselves. */
export function fusable(activation: string): FusedActivation | undefined {
  return activation === "relu" || activation === "relu6" ? activation : undefined;
}

/** The same of a layer that is nothing but an activation. */
export function fusableLayer(layer: BoundLayer): FusedActivation | undefined {
  const { className, config } = layer;
  if (className === "Activation") return fusable(String(config["activation"]));
  return className === "ReLU" ? reluOf(layer) : undefined;
}

/** What a ReLU layer without slope and threshold is; undefined for any other. */
export function reluOf(layer: BoundLayer): FusedActivation | undefined {
  const most = layer.config["max_value"] ?? null;
  const isPlain = numberOf(layer, "negative_slope", 0) === 0 && numberOf(layer, "threshold", 0) === 0;
  if (!isPlain) return undefined;
  if (most === null) return "relu";
  return most === 6 ? "relu6" : undefined;
}
