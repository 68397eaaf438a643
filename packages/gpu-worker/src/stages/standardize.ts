import { featureDimension, runKeys, TrommelError, writeWithMarker, type RunConfig } from "@trommel/common";
import {
  decodeMoments,
  encodeStandardization,
  testPart,
  type Moments,
  type Standardization,
} from "@trommel/common/artefacts";
import { findCommitted, readInput } from "@trommel/common/codec";
import type { StageContext, StageOutcome } from "./context.js";
import { commitOnce } from "./inputs/commit-once.js";
import { adviceOnFailedFiles, readFeatures, sameEmbeddings } from "./inputs/features.js";
import { readFoldSplit } from "./folding/fold-split.js";
import { readShard } from "./inputs/listing.js";
import { addRows } from "./folding/moments.js";
import { readRunConfig } from "./inputs/run.js";

/** A deviation below this share of the mean's size is rounding: the dimension is constant. */
const leastDeviation = 1e-6;

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

/** @throws TrommelError `bad-dataset` if there is no row, or every dimension is constant */
function standardizationOf(runId: string, { rowCount, sum, squareSum }: Moments): Standardization {
  const mean = Float32Array.from(sum, (value) => value / rowCount);
  const scale = Float32Array.from(sum, (value, i) => {
    const centre = value / rowCount;
    const meanSquare = (squareSum[i] as number) / rowCount;
    const deviation = Math.sqrt(Math.max(0, meanSquare - centre * centre));
    return deviation <= leastDeviation * Math.sqrt(meanSquare) ? 0 : 1 / deviation;
  });
  if (rowCount > 0 && scale.some((value) => value > 0)) return { mean, scale };
  const why =
    rowCount === 0
      ? `none of its files could be read. ${adviceOnFailedFiles(runId)}`
      : sameEmbeddings(rowCount);
  throw new TrommelError("bad-dataset", `cannot standardise the embeddings of ${runId}: ${why}`, {
    context: { run: runId, rows: rowCount },
  });
}
