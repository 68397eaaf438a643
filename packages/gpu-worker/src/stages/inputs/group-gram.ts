import {
  featureDimension,
  runKeys,
  shardsPerGram,
  type FeatureShard,
  type Gram,
  type RunConfig,
  type Shard,
  type Split,
} from "@trommel/common";
import { GramAccumulator } from "../../linalg/gram/gram.js";
import type { GramPrecision } from "../../linalg/gram/gram-chunk.js";
import { gramPrecision } from "../../linalg/gram/gram-precision.js";
import type { MatrixProduct } from "../../linalg/matrix-product.js";
import type { StageContext } from "../context.js";
import { readFeatures } from "./features.js";
import { readListing, readShard } from "./listing.js";
import { heldBackOf, readSplit } from "./split.js";

interface GroupShard {
  readonly shard: Shard;
  /** Positions of the images that do not train. */
  readonly heldBack: ReadonlySet<number>;
}

/**
 * Sums the Gram matrix of one group of a run's feature shards, in shard order, over the rows of training images.
 * @param options.precision @default as `gramPrecision` chooses
 */
export async function sumGroup(
  config: RunConfig,
  gramIndex: number,
  options: {
    /** @default the one that was planned */
    readonly split?: Split;
    readonly context: StageContext;
    readonly product: MatrixProduct;
    readonly precision?: GramPrecision;
  },
): Promise<Gram> {
  const { store, signal, onNote } = options.context;
  const dimension = featureDimension(config);
  const shards = await readGroup(config, gramIndex, options.context, options.split);
  const precision = options.precision ?? precisionFor(config, shards);
  const accumulator = new GramAccumulator(dimension, options.product, precision);
  for (const [at, { shard, heldBack }] of shards.entries()) {
    signal.throwIfAborted();
    const rows = trainingRows(await readFeatures(store, config, shard), heldBack);
    await accumulator.add(rows, rows.length / dimension);
    onNote(`shard ${at + 1} of ${shards.length}`);
  }
  return accumulator.result();
}

async function readGroup(
  { id }: RunConfig,
  gramIndex: number,
  { store }: StageContext,
  settled: Split | undefined,
): Promise<GroupShard[]> {
  const keys = runKeys(id);
  const split = settled ?? (await readSplit(store, id));
  const listing = await readListing(store, keys.listing);
  const start = gramIndex * shardsPerGram;
  const end = Math.min(listing.shards, start + shardsPerGram);
  const shards: GroupShard[] = [];
  for (let index = start; index < end; index += 1) {
    const shard = await readShard(store, keys.shard(index));
    const { validation, test } = heldBackOf(split, index);
    shards.push({ shard, heldBack: new Set([...validation, ...test]) });
  }
  return shards;
}

/** By the rows that there would be if no image failed: known without reading a feature. */
function precisionFor(config: RunConfig, shards: readonly GroupShard[]): GramPrecision {
  const { svd, views } = config.recipe;
  if (svd === null) return "float64";
  const images = shards.reduce((sum, { shard, heldBack }) => sum + shard.entries.length - heldBack.size, 0);
  return gramPrecision({ rows: images * views.count, dimension: featureDimension(config), svd });
}

/** The rows of images that train, in order. */
function trainingRows(features: FeatureShard, heldBack: ReadonlySet<number>): Float32Array {
  const { dimension } = features;
  const kept: number[] = [];
  for (const [row, position] of features.image.entries()) {
    if (!heldBack.has(position)) kept.push(row);
  }
  const rows = new Float32Array(kept.length * dimension);
  for (const [i, row] of kept.entries()) {
    rows.set(features.features.subarray(row * dimension, (row + 1) * dimension), i * dimension);
  }
  return rows;
}
