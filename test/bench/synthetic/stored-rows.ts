import {
  encodeFeatureShard,
  featureDimension,
  featureShardKey,
  openStore,
  recipe as recipeSchema,
  resolveLocation,
  runKeys,
  writeWithMarker,
  type RecipeInput,
} from "@trommel/common";
import { KeyFilter } from "#coordinator/listing/key-filter";
import { ListingTotals } from "#coordinator/listing/listing-totals";
import { streamShards, writeListing } from "#coordinator/plan/stream-shards";
import { resolveRun } from "#coordinator/resolve/run";
import { embeddingLikeRows } from "../material/embedding-like-rows.js";
import { SyntheticSource } from "./synthetic-source.js";

export interface StoredRows {
  /** Folder of the store. */
  readonly store: string;
  readonly run: string;
  /** Pictures that the run is said to be of; none is read. */
  readonly dataset: string;
  readonly recipe: RecipeInput & { readonly shardSize: number };
  readonly rows: number;
}

const classes = 100;
const seed = 1;

/**
 * A run whose listing and features exist and whose pictures never did: generated keys, one view of each, drawn once for a shard, with
 * the product's own configuration, shards, feature shards and markers.
 */
export async function writeStoredRows({
  store: folder,
  run,
  dataset,
  recipe,
  rows,
}: StoredRows): Promise<void> {
  const store = openStore(resolveLocation(folder));
  try {
    const asked = { store, id: run, dataset, recipe: recipeSchema.parse(recipe), output: undefined };
    const { config, claim } = await resolveRun(asked);
    await claim();
    const { shardSize, featureType } = config.recipe;
    const dimension = featureDimension(config);
    const drawn = embeddingLikeRows(Math.min(rows, shardSize), dimension, seed);
    const totals = new ListingTotals(new KeyFilter());
    const shards = streamShards({
      ...{ source: new SyntheticSource({ keys: rows, classes }), store, shardSize },
      ...{ shardKey: runKeys(run).shard, signal: new AbortController().signal, skip: () => undefined },
    });
    for await (const shard of shards) {
      totals.shards += 1;
      totals.add(shard);
      const ok = shard.entries.length;
      const features = {
        ...{ dimension, features: drawn.subarray(0, ok * dimension) },
        ...{ image: Int32Array.from({ length: ok }, (_, position) => position), view: new Uint8Array(ok) },
      };
      const bytes = encodeFeatureShard(features, featureType, {
        ...{ shard: shard.hash, fingerprint: config.fingerprint },
      });
      const key = featureShardKey(config.fingerprint, shard.hash);
      await writeWithMarker(store, key, bytes, { rows: ok, ok, failed: [] });
    }
    await writeListing(store, runKeys(run).listing, totals.summary());
  } finally {
    store.close();
  }
}
