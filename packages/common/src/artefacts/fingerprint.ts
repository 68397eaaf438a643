import { canonicalJson, sha256Hex } from "../codec/canonical-json.js";
import type { Recipe } from "../recipe/recipe.js";
import type { ShardEntry } from "./listing.js";

/** Bump when decoding, sampling or the shard format changes what the bytes of a feature shard are. */
const featureFormatVersion = 1;

/**
 * The identity of features: backbones, decoding, views and seed, and nothing else. Runs that agree on it share
 * their feature shards.
 */
export function featureFingerprint(recipe: Recipe, backboneHashes: readonly string[], side: number): string {
  return sha256Hex(
    canonicalJson({
      featureFormatVersion,
      backbones: backboneHashes,
      decode: { ...recipe.decode, side },
      views: recipe.views,
      seed: recipe.seed,
      featureType: recipe.featureType,
    }),
  );
}

/** The identity of a shard: its entries in order. */
export function shardHash(entries: readonly ShardEntry[]): string {
  return sha256Hex(canonicalJson(entries.map((e) => [e.key, e.sizeBytes, e.etag])));
}
