import {
  bundleFiles,
  bundleManifest,
  featureFingerprint,
  listingSummary,
  openStore,
  parseJsonAs,
  runConfig,
  runKeys,
  scoringConfig,
  scoringKeys,
  split as splitSchema,
  TrommelError,
  type BundleManifest,
  type ListingSummary,
  type ObjectStore,
  type RunConfig,
  type ScoringConfig,
  type Shard,
  type Split,
} from "@trommel/common";
import { parseSealedAs } from "@trommel/common/codec/sealed-json";
import { parseShard } from "@trommel/common/artefacts/shards/parse-shard";
import { resolveRunFeatures, type ResolvedRun } from "@trommel/common/artefacts/runs/resolved-run";
import type { GetOptions } from "@trommel/common/store/object-store";
import { readInput } from "@trommel/common/codec/stage-input";
import { readBounds } from "@trommel/common/store/read-bounds";
import { rememberedConfig } from "./config-memory.js";
import type { BackboneUse } from "./load-backbones.js";

/** The small artefacts that stages start from, read and parsed. */

export type { ResolvedRun };

/**
 * A run with its normalisation: what every stage after `normalize` starts from.
 * @throws TrommelError `missing-input` where the dataset's pixels are to be measured and are not yet
 */
export async function readRunConfig(store: ObjectStore, id: string): Promise<ResolvedRun> {
  return resolveRunFeatures(store, await readUnresolvedConfig(store, id), readInput);
}

/** A run as it was asked for, for the stages that measure what it is normalised by. */
export async function readUnresolvedConfig(store: ObjectStore, id: string): Promise<RunConfig> {
  const key = runKeys(id).config;
  return rememberedConfig(store, key, async () => {
    const config = parseSealedAs(runConfig, await required(store, key), key);
    checkFingerprint(config);
    return config;
  });
}

/** A run that another version of Trommel began has features of another kind, and goes on with none of ours. */
function checkFingerprint({ id, recipe, backbones, side, fingerprint }: RunConfig): void {
  const hashes = backbones.map(({ hash }) => hash);
  if (featureFingerprint(recipe, hashes, side) === fingerprint) return;
  throw new TrommelError(
    "unsupported",
    `failed to go on with ${id}: another version of Trommel began it, and this one makes other features. Train again under another id`,
    { context: { run: id, fingerprint } },
  );
}

/** The backbones of a run, as it uses them. */
export function backbonesOfRun({ backbones, normalization, recipe }: ResolvedRun): BackboneUse[] {
  return backbones.map(({ id }) => ({ id, normalization, precision: recipe.precision }));
}

export async function readScoringConfig(store: ObjectStore, id: string): Promise<ScoringConfig> {
  const key = scoringKeys(id).config;
  return parseSealedAs(scoringConfig, await required(store, key), key);
}

/** @throws TrommelError `corrupt` where another model has taken the place of the one that the scoring is by */
export async function readBundleManifest({ bundle }: ScoringConfig): Promise<BundleManifest> {
  const from = openStore(bundle.location);
  try {
    const name = `${bundle.location}/${bundleFiles.manifest}`;
    const manifest = parseJsonAs(
      bundleManifest,
      await from.get(bundleFiles.manifest, readBounds.document),
      name,
    );
    const found = manifest.hashes[bundleFiles.model];
    if (found === bundle.modelSha256) return manifest;
    throw new TrommelError(
      "corrupt",
      `failed to read ${name}: it is of a model with sha256 ${found ?? "unknown"}, and ${bundle.modelSha256} was asked for. Score with the new model into another prefix`,
    );
  } finally {
    from.close();
  }
}

export async function readShard(store: ObjectStore, key: string): Promise<Shard> {
  return parseShard(await required(store, key, readBounds.dataset), key);
}

export async function readListing(store: ObjectStore, key: string): Promise<ListingSummary> {
  return parseSealedAs(listingSummary, await required(store, key), key);
}

export async function readSplit(store: ObjectStore, id: string): Promise<Split> {
  const key = runKeys(id).split;
  return parseSealedAs(splitSchema, await required(store, key, readBounds.dataset), key);
}

/** Positions of a shard's images that validate. @throws TrommelError `corrupt` where the split is of another listing */
export function validationOf(split: Split, shardIndex: number): ReadonlySet<number> {
  const positions = split.validation[shardIndex];
  if (positions !== undefined) return new Set(positions);
  throw new TrommelError(
    "corrupt",
    `failed to split shard ${shardIndex}: the run's split has ${split.validation.length} shards. Train again under another id (--run)`,
  );
}

/** @throws TrommelError `missing-input`: the stage before has not written it */
async function required(
  store: ObjectStore,
  key: string,
  bound: GetOptions = readBounds.document,
): Promise<Uint8Array> {
  try {
    return await store.get(key, bound);
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found") throw thrown;
    throw new TrommelError(
      "missing-input",
      `failed to read ${key}: the stage that writes it did not finish. Resume the run`,
      {
        cause: thrown,
        context: { key },
      },
    );
  }
}
