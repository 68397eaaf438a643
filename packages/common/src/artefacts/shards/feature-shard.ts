import { z } from "zod";
import { fromFloat16, toFloat16 } from "../../codec/float16.js";
import { decodeSafetensors, encodeSafetensors, requireTensor } from "../../codec/safetensors.js";
import { markerSchema } from "../../codec/marker.js";
import { TrommelError } from "../../errors.js";
import { shardOutcome } from "./ledger.js";
import { packedIdentities } from "./image-identities.js";

/**
 * The embeddings of one shard's views, one row per view of every image that could be read, images in shard order and
 * views in index order. It never holds labels: relabelling must cost no extraction.
 */
export interface FeatureShard {
  readonly dimension: number;
  /** [rows, dimension], row-major. */
  readonly features: Float32Array;
  /** [rows]: position of the image in the shard. */
  readonly image: Int32Array;
  /** [rows]: index of the view; 0 is the image itself. */
  readonly view: Uint8Array;
}

/** The marker of a feature shard: besides hash and size, what became of every image, and what its rows are of. */
export const featureShardMarker = markerSchema.extend({
  rows: z.int().nonnegative(),
  images: packedIdentities.optional(),
  ...shardOutcome.shape,
});

/** The same features give the same bytes. */
export function encodeFeatureShard(
  shard: FeatureShard,
  featureType: "f16" | "f32",
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const rows = shard.image.length;
  const shape = [rows, shard.dimension];
  return encodeSafetensors({
    tensors: {
      features:
        featureType === "f16"
          ? { dtype: "F16", shape, data: toFloat16(shard.features) }
          : { dtype: "F32", shape, data: shard.features },
      image: { dtype: "I32", shape: [rows], data: shard.image },
      view: { dtype: "U8", shape: [rows], data: shard.view },
    },
    metadata,
  });
}

/** @throws TrommelError `corrupt` where the file is not a feature shard of that dimension */
export function decodeFeatureShard(bytes: Uint8Array, name: string, dimension: number): FeatureShard {
  const file = decodeSafetensors(bytes, { name });
  const half = file.tensors["features"]?.dtype === "F16";
  const stored = requireTensor(file, "features", half ? "F16" : "F32", 2);
  const image = requireTensor(file, "image", "I32", 1).data;
  const view = requireTensor(file, "view", "U8", 1).data;
  if (stored.shape[1] !== dimension || stored.shape[0] !== image.length || view.length !== image.length) {
    throw new TrommelError(
      "corrupt",
      `cannot read the feature shard ${name}: its shape is [${stored.shape.join(", ")}] and ${dimension} numbers a row are expected`,
    );
  }
  const features = stored.dtype === "F16" ? fromFloat16(stored.data) : stored.data;
  return { dimension, features, image, view };
}
