import { featureDimension, runKeys, shardsPerGram, TrommelError, type RunConfig } from "@trommel/common";
import { decodeMoments, type Moments } from "@trommel/common/artefacts";
import { readInput } from "@trommel/common/codec";
import type { StageContext } from "../context.js";
import { readFeatures } from "../inputs/features.js";
import { readListing, readShard } from "../inputs/listing.js";

/** Sums of nothing. */
function noMoments(dimension: number): Moments {
  return { rowCount: 0, sum: new Float64Array(dimension), squareSum: new Float64Array(dimension) };
}

/** Adds rows, or with `sign` −1 subtracts them. @param rows [count, dimension] */
export function addRows(moments: Moments, rows: Float32Array, sign: 1 | -1 = 1): Moments {
  const { sum, squareSum } = moments;
  const dimension = sum.length;
  for (let at = 0; at < rows.length; at += dimension) {
    for (let i = 0; i < dimension; i += 1) {
      const value = sign * (rows[at + i] as number);
      sum[i] = (sum[i] as number) + value;
      squareSum[i] = (squareSum[i] as number) + sign * value * value;
    }
  }
  return { ...moments, rowCount: moments.rowCount + (sign * rows.length) / dimension };
}

/** Sums the rows of all views of a group of a run's feature shards, in shard order. */
export async function sumGroupMoments(
  config: RunConfig,
  gramIndex: number,
  { store, signal, onNote }: StageContext,
): Promise<Moments> {
  const keys = runKeys(config.id);
  const { shards } = await readListing(store, keys.listing);
  const start = gramIndex * shardsPerGram;
  const end = Math.min(shards, start + shardsPerGram);
  let moments = noMoments(featureDimension(config));
  for (let index = start; index < end; index += 1) {
    signal.throwIfAborted();
    const { features } = await readFeatures(store, config, await readShard(store, keys.shard(index)));
    moments = addRows(moments, features);
    onNote(`shard ${index - start + 1} of ${end - start}`);
  }
  return moments;
}

/** Merges the moments of all groups, in their order. @throws TrommelError `corrupt` if a value is not finite */
export async function mergeGroupMoments(
  config: RunConfig,
  { store, signal }: StageContext,
): Promise<Moments> {
  const keys = runKeys(config.id);
  const { shards } = await readListing(store, keys.listing);
  const total = noMoments(featureDimension(config));
  let rowCount = 0;
  for (let index = 0; index < Math.ceil(shards / shardsPerGram); index += 1) {
    signal.throwIfAborted();
    const key = keys.gram(index);
    const part = decodeMoments((await readInput(store, key)).bytes, key);
    for (const [i, value] of part.sum.entries()) total.sum[i] = (total.sum[i] as number) + value;
    for (const [i, value] of part.squareSum.entries())
      total.squareSum[i] = (total.squareSum[i] as number) + value;
    rowCount += part.rowCount;
  }
  if (total.squareSum.every(Number.isFinite)) return { ...total, rowCount };
  throw new TrommelError(
    "corrupt",
    `cannot standardise the embeddings of ${config.id}: among ${rowCount} rows there is a value that is not finite. ` +
      "Check the backbone's weights and the feature type (f16 overflows at 65504)",
    { context: { run: config.id, rows: rowCount } },
  );
}
