import { decodeSafetensors, encodeSafetensors, requireTensor } from "../../codec/safetensors.js";
import type { Tensor } from "../../codec/tensor-dtype.js";
import type { HeadWeights } from "./projection.js";
import { headAt, headTensors } from "./projection-codec.js";

/** What one candidate, trained without one fold, comes to. A variant is one penalty of a linear candidate; others have one. */
export interface FoldResult {
  /** By variant. */
  readonly heads: readonly HeadWeights[];
  /** The fold's own images, in listing order. */
  readonly heldOut: PredictedImages;
}

export interface PredictedImages {
  /** [images]: shard and position in it. */
  readonly shard: Int32Array;
  readonly position: Int32Array;
  /** By variant: float32 [images, classes]. */
  readonly logits: readonly Float32Array[];
  /** The same of the image alone, where `logits` are averaged with flips of it. */
  readonly alone?: readonly Float32Array[];
}

export function encodeFoldResult({ heads, heldOut }: FoldResult, classCount: number): Uint8Array {
  const count = heldOut.shard.length;
  const tensors: Record<string, Tensor> = {
    "held_out/shard": { dtype: "I32", shape: [count], data: heldOut.shard },
    "held_out/position": { dtype: "I32", shape: [count], data: heldOut.position },
  };
  const addLogits = (name: string, logits: readonly Float32Array[]): void => {
    for (const [variant, data] of logits.entries())
      tensors[`held_out/${name}/${variant}`] = { dtype: "F32", shape: [count, classCount], data };
  };
  addLogits("logits", heldOut.logits);
  addLogits("alone", heldOut.alone ?? []);
  for (const [variant, weights] of heads.entries())
    Object.assign(tensors, headTensors(weights, `heads/${variant}/`));
  return encodeSafetensors({ tensors, metadata: { variants: String(heads.length) } });
}

export function decodeFoldResult(bytes: Uint8Array, name: string): FoldResult {
  const file = decodeSafetensors(bytes, { name });
  const variants = Number(file.metadata["variants"]);
  const numbers = Array.from({ length: variants }, (_, variant) => variant);
  const logitsOf = (part: string): Float32Array[] =>
    numbers.map((variant) => requireTensor(file, `held_out/${part}/${variant}`, "F32", 2).data);
  const heldOut = {
    shard: requireTensor(file, "held_out/shard", "I32", 1).data,
    position: requireTensor(file, "held_out/position", "I32", 1).data,
    logits: logitsOf("logits"),
    ...(file.tensors["held_out/alone/0"] === undefined ? {} : { alone: logitsOf("alone") }),
  };
  return { heads: numbers.map((variant) => headAt(file, `heads/${variant}/`)), heldOut };
}
