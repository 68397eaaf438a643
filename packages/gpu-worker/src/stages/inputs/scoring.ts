import {
  bundleFiles,
  bundleManifest,
  openStore,
  parseJsonAs,
  scoringConfig,
  scoringKeys,
  TrommelError,
  type BundleManifest,
  type ObjectStore,
  type ScoringConfig,
  type Shard,
} from "@trommel/common";
import type { ScoringGeneration } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";
import { readShard } from "./listing.js";
import { readRequired } from "./read-required.js";

export async function readScoringConfig(store: ObjectStore, id: string): Promise<ScoringConfig> {
  const key = scoringKeys(id).config;
  return parseSealedAs(scoringConfig, await readRequired(store, key), key);
}

/**
 * A shard of a scoring, as the generation counts it.
 * @throws TrommelError as {@link readShard}
 */
export async function readGenerationShard(
  store: ObjectStore,
  generation: ScoringGeneration,
  index: number,
): Promise<Shard> {
  return generation.shardOf(index, await readShard(store, generation.shardKey(index)));
}

/**
 * The manifest of the bundle that a scoring uses.
 * @throws TrommelError `corrupt` if another model has replaced the one that the scoring began with
 */
export async function readBundleManifest({ bundle }: Pick<ScoringConfig, "bundle">): Promise<BundleManifest> {
  const from = openStore(bundle.location);
  try {
    const name = `${bundle.location}/${bundleFiles.manifest}`;
    const bytes = await from.get(bundleFiles.manifest, readBounds.document);
    const manifest = parseJsonAs(bundleManifest, bytes, name);
    const found = manifest.hashes[bundleFiles.model];
    if (found === bundle.modelSha256) return manifest;
    throw new TrommelError(
      "corrupt",
      `cannot use ${name}: its model has sha256 ${found ?? "unknown"}, and the scoring began with ${bundle.modelSha256}. Score with the new model into another prefix`,
    );
  } finally {
    from.close();
  }
}
