import {
  featureDimension,
  runKeys,
  writeWithMarker,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import {
  decodeMoments,
  encodeStandardization,
  networkRunsOf,
  testPart,
  type Moments,
  type Standardization,
} from "@trommel/common/artefacts";
import { findCommitted, readInput } from "@trommel/common/codec";
import type { StageContext, StageOutcome } from "./context.js";
import { commitOnce } from "./inputs/commit-once.js";
import { readFeatures } from "./inputs/features.js";
import { readFoldSplit } from "./folding/fold-split.js";
import { readShard } from "./inputs/listing.js";
import { addRows } from "./folding/moments.js";
import { readStandardization, standardizationOf } from "./folding/standardization.js";
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
    const networks = networkRunsOf(config);
    const bytes = encodeStandardization(
      networks.length > 0 ? await ofNetworks(networks, store) : await ofRows(config, context),
    );
    await commitOnce(() => writeWithMarker(store, keys.standardization, bytes));
  }
  return { images: 0, failed: 0 };
}

async function ofRows(config: RunConfig, context: StageContext): Promise<Standardization> {
  const { id } = config;
  const key = runKeys(id).moments;
  const all = decodeMoments((await readInput(context.store, key)).bytes, key);
  return standardizationOf(id, await withoutTestPart(config, all, context));
}

/** The heads of the folds' networks take what they were trained on: each part of a row is standardised as in the run of its network. */
async function ofNetworks(networks: readonly string[], store: ObjectStore): Promise<Standardization> {
  const parts: Standardization[] = [];
  for (const id of networks) parts.push(await readStandardization(store, id));
  const joined = (name: keyof Standardization): Float32Array =>
    Float32Array.from(parts.flatMap((part) => [...part[name]]));
  return { mean: joined("mean"), scale: joined("scale") };
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
