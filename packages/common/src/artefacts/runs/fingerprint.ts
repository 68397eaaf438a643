import { canonicalJson, sha256Hex } from "../../codec/canonical-json.js";
import type { Recipe } from "../../recipe/recipe.js";
import { resolveNormalization } from "../../recipe/resolve-normalization.js";
import type { ShardEntry, Superseded } from "../shards/listing.js";

/** Bump when decoding, sampling or the shard format changes what the bytes of a feature shard are. */
const featureFormatVersion = 5;

/**
 * The identity of features: backbones and their precision, decoding, normalisation, views and seed, and nothing else. Runs that agree on it
 * share their feature shards. A normalisation counts by its figures, however it was named; those that the backbones were
 * imported with are in their hashes already. A run by its dataset's own figures is identified by them once they are
 * measured, and until then by nothing that any feature shard has.
 */
export function featureFingerprint(recipe: Recipe, backboneHashes: readonly string[], side: number): string {
  const normalization = resolveNormalization(recipe.normalization);
  const { flips, ...views } = recipe.views;
  return sha256Hex(
    canonicalJson({
      featureFormatVersion,
      backbones: backboneHashes,
      decode: { ...recipe.decode, side },
      ...(normalization === "backbone" ? {} : { normalization }),
      ...(recipe.precision === "fp32" ? {} : { precision: recipe.precision }),
      views: flips.length > 0 ? recipe.views : views,
      seed: recipe.seed,
      featureType: recipe.featureType,
    }),
  );
}

/** The identity of a shard: its entries in order, with the place of each that has one of its own and, where it tries them again, which try it is. */
export function shardHash(entries: readonly ShardEntry[], supersedes?: Superseded): string {
  const identity = entries.map(({ key, sizeBytes, etag, at }) =>
    at === undefined ? [key, sizeBytes, etag] : [key, sizeBytes, etag, at],
  );
  return sha256Hex(canonicalJson(supersedes === undefined ? identity : { entries: identity, supersedes }));
}
