import { featureDimension, runKeys, writeWithMarker, type RunConfig } from "@trommel/common";
import { decodeMoments, encodeStandardization, testPart, type Moments } from "@trommel/common/artefacts";
import { findCommitted, readInput } from "@trommel/common/codec";
import type { StageContext, StageOutcome } from "./context.js";
import { commitOnce } from "./inputs/commit-once.js";
import { readFeatures } from "./inputs/features.js";
import { readFoldSplit } from "./folding/fold-split.js";
import { readShard } from "./inputs/listing.js";
import { addRows } from "./folding/moments.js";
import { standardizationOf } from "./folding/standardization.js";
import { readRunConfig } from "./inputs/run.js";

/**
 * Standardize: moments, split → standardization.
 *
 * In: the sums over all rows, the split, and the feature shards that have images of the test part, whose rows are subtracted. Out: `standardization.safetensors`, the mean and deviation of every dimension over all views of the images of all folds.
 * A retry finds the marker, or computes the same bytes again.
 */
export async function standardize(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const keys = runKeys(runId);
  const config = await readRunConfig(store, runId);
  if ((await findCommitted(store, keys.standardization)) === undefined) {
    const all = decodeMoments((await readInput(store, keys.moments)).bytes, keys.moments);
    const moments = await withoutTestPart(config, all, context);
    const bytes = encodeStandardization(standardizationOf(runId, moments));
    await commitOnce(() => writeWithMarker(store, keys.standardization, bytes));
  }
  return { images: 0, failed: 0 };
}

async function withoutTestPart(
  config: RunConfig,
  all: Moments,
  { store, signal }: StageContext,
): Promise<Moments> {
  const split = await readFoldSplit(store, config.id);
  const dimension = featureDimension(config);
  let moments = all;
  for (const [index, parts] of split.parts.entries()) {
    if (!parts.includes(testPart)) continue;
    signal.throwIfAborted();
    const shard = await readShard(store, runKeys(config.id).shard(index));
    const { features, image } = await readFeatures(store, config, shard);
    for (const [row, position] of image.entries()) {
      if (parts[position] === testPart)
        moments = addRows(moments, features.subarray(row * dimension, (row + 1) * dimension), -1);
    }
  }
  return moments;
}
