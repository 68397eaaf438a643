import {
  decodeFeatureShard,
  encodeGram,
  featureDimension,
  featureShardKey,
  featureShardMarker,
  runKeys,
  shardsPerGram,
  TrommelError,
  writeWithMarker,
  type FailedRow,
  type FeatureShard,
  type ObjectStore,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { checkOutcome } from "@trommel/common/artefacts/ledger-builder";
import { findCommitted, readInput } from "@trommel/common/codec/stage-input";
import { GramAccumulator } from "../linalg/gram.js";
import { MatrixProduct } from "../linalg/matrix-product.js";
import type { StageContext, StageOutcome } from "./context.js";
import { readListing, readRunConfig, readShard, readSplit, validationOf } from "./read-config.js";

/**
 * Gram: a group of feature shards, the split → gram.
 *
 * In: every feature shard of the group (none may be missing) and the split; only rows of training images count.
 * Out: `grams/<n>.safetensors`; nothing where the recipe has no SVD. A retry finds the marker, or sums again in the same order and writes the same bytes.
 */
export async function gram(runId: string, gramIndex: number, context: StageContext): Promise<StageOutcome> {
  const { store, signal } = context;
  const keys = runKeys(runId);
  const key = keys.gram(gramIndex);
  const config = await readRunConfig(store, runId);
  if (config.recipe.svd === null || (await findCommitted(store, key)) !== undefined) {
    return { images: 0, failed: 0 };
  }
  const split = await readSplit(store, runId);
  const { shards } = await readListing(store, keys.listing);
  const dimension = featureDimension(config);
  const product = new MatrixProduct({ threads: context.threads });
  try {
    const accumulator = new GramAccumulator(dimension, product);
    const end = Math.min(shards, (gramIndex + 1) * shardsPerGram);
    for (let index = gramIndex * shardsPerGram; index < end; index += 1) {
      signal.throwIfAborted();
      const shard = await readShard(store, keys.shard(index));
      const rows = trainingRows(await readFeatures(store, config, shard), validationOf(split, index));
      await accumulator.add(rows, rows.length / dimension);
      context.onNote(`shard ${index - gramIndex * shardsPerGram + 1} of ${end - gramIndex * shardsPerGram}`);
    }
    await writeWithMarker(store, key, encodeGram(accumulator.result()));
  } finally {
    await product.release();
  }
  return { images: 0, failed: 0 };
}

/**
 * The features of a shard, held against it.
 * @throws TrommelError `missing-input` where the shard was not committed; `corrupt` where its rows are not those of the
 *   pictures that could be read, every view of each, in shard order
 */
export async function readFeatures(
  store: ObjectStore,
  config: RunConfig,
  shard: Shard,
): Promise<FeatureShard> {
  const key = featureShardKey(config.fingerprint, shard.hash);
  const { bytes, marker } = await readInput(store, key, featureShardMarker);
  checkOutcome(shard, marker);
  const features = decodeFeatureShard(bytes, key, featureDimension(config));
  checkRows(key, features, shard, marker.failed, config.recipe.views.count);
  return features;
}

function checkRows(
  key: string,
  { image, view }: FeatureShard,
  { entries }: Shard,
  failed: readonly FailedRow[],
  viewCount: number,
): void {
  const without = new Set(failed.map(({ position }) => position));
  let row = 0;
  let right = image.length === (entries.length - failed.length) * viewCount;
  for (let position = 0; position < entries.length && right; position += 1) {
    if (without.has(position)) continue;
    for (let v = 0; v < viewCount; v += 1, row += 1) right &&= image[row] === position && view[row] === v;
  }
  if (right) return;
  throw new TrommelError(
    "corrupt",
    `failed to read the feature shard ${key}: its rows are not the ${viewCount} views of each picture that did not fail, in order. Remove it and its marker and resume`,
    { context: { key } },
  );
}

/** The rows of images outside the validation split, in order. */
function trainingRows(features: FeatureShard, validation: ReadonlySet<number>): Float32Array {
  const { dimension } = features;
  const kept: number[] = [];
  for (const [row, position] of features.image.entries()) {
    if (!validation.has(position)) kept.push(row);
  }
  const rows = new Float32Array(kept.length * dimension);
  for (const [i, row] of kept.entries()) {
    rows.set(features.features.subarray(row * dimension, (row + 1) * dimension), i * dimension);
  }
  return rows;
}
