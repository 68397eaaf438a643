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
  type Gram,
  type ObjectStore,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { checkOutcome } from "@trommel/common/artefacts/shards/ledger-builder";
import { findCommitted, readInput } from "@trommel/common/codec/stage-input";
import { GramAccumulator } from "../linalg/gram/gram.js";
import type { GramPrecision } from "../linalg/gram/gram-chunk.js";
import { gramPrecision } from "../linalg/gram/gram-precision.js";
import { MatrixProduct } from "../linalg/matrix-product.js";
import { commitOnce } from "./inputs/commit-once.js";
import type { StageContext, StageOutcome } from "./context.js";
import { readListing, readRunConfig, readShard, readSplit, validationOf } from "./inputs/read-artefacts.js";

/**
 * Gram: a group of feature shards, the split → gram.
 *
 * In: every feature shard of the group (none may be missing) and the split; only rows of training images count.
 * Out: `grams/<n>.safetensors`; nothing where the recipe has no SVD. A retry finds the marker, or sums again in the same order and writes the same bytes.
 */
export async function gram(runId: string, gramIndex: number, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const key = runKeys(runId).gram(gramIndex);
  const config = await readRunConfig(store, runId);
  if (config.recipe.svd === null || (await findCommitted(store, key)) !== undefined) {
    return { images: 0, failed: 0 };
  }
  const product = new MatrixProduct({ threads: context.threads });
  try {
    const bytes = encodeGram(await sumGroup(config, gramIndex, { context, product }));
    await commitOnce(() => writeWithMarker(store, key, bytes));
  } finally {
    await product.release();
  }
  return { images: 0, failed: 0 };
}

export interface SumGroupOptions {
  readonly context: StageContext;
  readonly product: MatrixProduct;
  /** @default as `gramPrecision` chooses */
  readonly precision?: GramPrecision;
}

/** Sums the Gram matrix of one group of a run's feature shards, in shard order. */
export async function sumGroup(
  config: RunConfig,
  gramIndex: number,
  { context, product, precision }: SumGroupOptions,
): Promise<Gram> {
  const { store, signal } = context;
  const keys = runKeys(config.id);
  const split = await readSplit(store, config.id);
  const listing = await readListing(store, keys.listing);
  const dimension = featureDimension(config);
  const start = gramIndex * shardsPerGram;
  const shards: { shard: Shard; validation: ReadonlySet<number> }[] = [];
  for (let index = start; index < Math.min(listing.shards, start + shardsPerGram); index += 1) {
    shards.push({
      shard: await readShard(store, keys.shard(index)),
      validation: validationOf(split, index),
    });
  }
  const accumulator = new GramAccumulator(dimension, product, precision ?? precisionFor(config, shards));
  for (const [at, { shard, validation }] of shards.entries()) {
    signal.throwIfAborted();
    const rows = trainingRows(await readFeatures(store, config, shard), validation);
    await accumulator.add(rows, rows.length / dimension);
    context.onNote(`shard ${at + 1} of ${shards.length}`);
  }
  return accumulator.result();
}

/** By the rows that there would be if no picture failed: known without reading a feature. */
function precisionFor(
  config: RunConfig,
  shards: readonly { shard: Shard; validation: ReadonlySet<number> }[],
): GramPrecision {
  const { svd, views } = config.recipe;
  if (svd === null) return "float64";
  const images = shards.reduce(
    (sum, { shard, validation }) => sum + shard.entries.length - validation.size,
    0,
  );
  return gramPrecision({ rows: images * views.count, dimension: featureDimension(config), svd });
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
