import { decodeSafetensors, encodeSafetensors, requireTensor } from "../../codec/safetensors.js";
import type { Tensor } from "../../codec/tensor-dtype.js";
import type { HeadWeights } from "./projection.js";

/** What one candidate, trained without one fold, comes to. A variant is one penalty of a linear candidate; others have one. */
export interface FoldResult {
  /** By variant. */
  readonly heads: readonly HeadWeights[];
  /** The fold's own images, in listing order. */
  readonly heldOut: PredictedImages;
  /** The images of the test part; none without one. */
  readonly test: PredictedImages;
}

export interface PredictedImages {
  /** [images]: shard and position in it. */
  readonly shard: Int32Array;
  readonly position: Int32Array;
  /** By variant: float32 [images, classes]. */
  readonly logits: readonly Float32Array[];
  /** The same of the image alone, where `logits` are averaged with its mirror image. */
  readonly alone?: readonly Float32Array[];
}

export function encodeFoldResult(result: FoldResult, classCount: number): Uint8Array {
  const tensors: Record<string, Tensor> = {};
  for (const [part, images] of [
    ["held_out", result.heldOut],
    ["test", result.test],
  ] as const) {
    const count = images.shard.length;
    tensors[`${part}/shard`] = { dtype: "I32", shape: [count], data: images.shard };
    tensors[`${part}/position`] = { dtype: "I32", shape: [count], data: images.position };
    for (const [variant, data] of images.logits.entries())
      tensors[`${part}/logits/${variant}`] = { dtype: "F32", shape: [count, classCount], data };
    for (const [variant, data] of (images.alone ?? []).entries())
      tensors[`${part}/alone/${variant}`] = { dtype: "F32", shape: [count, classCount], data };
  }
  for (const [variant, weights] of result.heads.entries()) {
    for (const [name, { shape, data }] of Object.entries(weights))
      tensors[`heads/${variant}/${name}`] = { dtype: "F32", shape, data };
  }
  return encodeSafetensors({ tensors, metadata: { variants: String(result.heads.length) } });
}

export function decodeFoldResult(bytes: Uint8Array, name: string): FoldResult {
  const file = decodeSafetensors(bytes, { name });
  const variants = Number(file.metadata["variants"]);
  const byVariant = (of: string): Float32Array[] =>
    Array.from({ length: variants }, (_, variant) => requireTensor(file, `${of}/${variant}`, "F32", 2).data);
  const part = (of: string): PredictedImages => ({
    shard: requireTensor(file, `${of}/shard`, "I32", 1).data,
    position: requireTensor(file, `${of}/position`, "I32", 1).data,
    logits: byVariant(`${of}/logits`),
    ...(file.tensors[`${of}/alone/0`] === undefined ? {} : { alone: byVariant(`${of}/alone`) }),
  });
  const heads = Array.from({ length: variants }, (_, variant) => {
    const prefix = `heads/${variant}/`;
    const weights = Object.entries(file.tensors).flatMap(([tensor, { dtype, shape, data }]) =>
      tensor.startsWith(prefix) && dtype === "F32"
        ? [[tensor.slice(prefix.length), { shape, data }] as const]
        : [],
    );
    return Object.fromEntries(weights);
  });
  return { heads, heldOut: part("held_out"), test: part("test") };
}
