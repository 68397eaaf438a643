import {
  canonicalJson,
  encodeFeatureShard,
  featureDimension,
  featureFingerprint,
  featureShardKey,
  runKeys,
  shardHash,
  writeWithMarker,
  type ObjectStore,
  type Recipe,
  type RunConfig,
} from "@trommel/common";

/** Runs whose features are in the store as `extract` leaves them, for the stages behind it. */

/** The run "r" on one backbone of so many dimensions, which is in no store. */
export function extractedRun(recipe: Recipe, dimension: number, labels: RunConfig["labels"]): RunConfig {
  const hash = "a".repeat(64);
  const side = 32;
  return {
    formatVersion: 1,
    id: "r",
    dataset: "file:///nowhere",
    recipe,
    labels,
    export: null,
    backbones: [{ id: "net@0123456789ab", hash, dimension, inputSize: side }],
    side,
    fingerprint: featureFingerprint(recipe, [hash], side),
  };
}

/** @param value of a row, every view of each image after the other, and a column; asked for in that order */
export async function putExtractedShard(
  store: ObjectStore,
  config: RunConfig,
  { index, keys }: { readonly index: number; readonly keys: readonly string[] },
  value: (row: number, column: number) => number,
): Promise<void> {
  const entries = keys.map((key) => ({ key, sizeBytes: 1, etag: "e" }));
  const hash = shardHash(entries);
  const shard = { formatVersion: 1, index, hash, entries, skipped: [] };
  await store.put(runKeys(config.id).shard(index), Buffer.from(canonicalJson(shard)));
  const dimension = featureDimension(config);
  const views = config.recipe.views.count;
  const rows = keys.length * views;
  const features = Float32Array.from({ length: rows * dimension }, (_, i) =>
    value(Math.floor(i / dimension), i % dimension),
  );
  const image = Int32Array.from({ length: rows }, (_, row) => Math.floor(row / views));
  const view = Uint8Array.from({ length: rows }, (_, row) => row % views);
  const bytes = encodeFeatureShard({ dimension, features, image, view }, "f32", {});
  const outcome = { rows, ok: keys.length, failed: [] };
  await writeWithMarker(store, featureShardKey(config.fingerprint, hash), bytes, outcome);
}
