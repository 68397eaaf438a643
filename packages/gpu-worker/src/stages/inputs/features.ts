import {
  decodeFeatureShard,
  featureDimension,
  featureShardKey,
  featureShardMarker,
  TrommelError,
  type FailedImage,
  type FeatureShard,
  type ObjectStore,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { checkOutcome } from "@trommel/common/artefacts";
import { readInput } from "@trommel/common/codec";

/**
 * The features of a shard, checked against it.
 * @throws TrommelError `missing-input` if the shard was not committed; `corrupt` if its rows are not every view of each
 *   image that could be read, in shard order
 */
export async function readFeatures(
  store: ObjectStore,
  config: RunConfig,
  shard: Shard,
): Promise<FeatureShard> {
  return (await readShardFeatures(store, config, shard)).features;
}

/** The features of a shard as {@link readFeatures} gives them, and the images that have none. */
export async function readShardFeatures(
  store: ObjectStore,
  config: RunConfig,
  shard: Shard,
): Promise<{ readonly features: FeatureShard; readonly failed: readonly FailedImage[] }> {
  const key = featureShardKey(config.fingerprint, shard.hash);
  const { bytes, marker } = await readInput(store, key, featureShardMarker);
  checkOutcome(shard, marker);
  const features = decodeFeatureShard(bytes, key, featureDimension(config));
  checkRows(key, features, shard, marker.failed, config.recipe.views.count);
  return { features, failed: marker.failed };
}

function checkRows(
  key: string,
  { image, view }: FeatureShard,
  { entries }: Shard,
  failed: readonly FailedImage[],
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
    `cannot read the feature shard ${key}: its rows are not the ${viewCount} views of each image that did not fail, in order. Remove it and its marker and resume`,
    { context: { key } },
  );
}

/** What to do if too few files of a run could be read to train on them. */
export function adviceOnFailedFiles(runId: string): string {
  return `'trommel errors ${runId}' lists the files that failed; repair them, and 'trommel retry ${runId}' tries them again`;
}

/** Why nothing can be learned from embeddings that do not differ, and what to do. */
export function sameEmbeddings(rows: number): string {
  return `all ${rows} embeddings are the same. Check that the images differ, and the backbone's weights and normalisation`;
}
