import {
  featureFingerprint,
  runConfig,
  runKeys,
  TrommelError,
  type ObjectStore,
  type HeadRecipe,
  type RunConfig,
} from "@trommel/common";
import { resolveRunFeatures, type ResolvedRun } from "@trommel/common/artefacts";
import { parseSealedAs, readInput } from "@trommel/common/codec";
import { rememberedConfig } from "./config-memory.js";
import type { BackboneUse } from "./load-backbones.js";
import { readRequired } from "./read-required.js";

export type { ResolvedRun };

/**
 * A run with its normalisation: what every stage after `normalize` starts from.
 * @throws TrommelError `missing-input` if the dataset's pixels are to be measured and are not yet
 */
export async function readRunConfig(store: ObjectStore, id: string): Promise<ResolvedRun> {
  return resolveRunFeatures(store, await readUnresolvedConfig(store, id), readInput);
}

/** A run as it was asked for, for the stages that measure what it is normalised by. */
export async function readUnresolvedConfig(store: ObjectStore, id: string): Promise<RunConfig> {
  const key = runKeys(id).config;
  return rememberedConfig(store, key, async () => {
    const config = parseSealedAs(runConfig, await readRequired(store, key), key);
    checkFingerprint(config);
    return config;
  });
}

/** A run that another version of Trommel began has features of another kind, which this version can neither use nor make. */
function checkFingerprint({ id, recipe, backbones, side, fingerprint }: RunConfig): void {
  const hashes = backbones.map(({ hash }) => hash);
  if (featureFingerprint(recipe, hashes, side) === fingerprint) return;
  throw new TrommelError(
    "unsupported",
    `cannot continue ${id}: another version of Trommel began it, and this version computes other features. Train again under another id`,
    { context: { run: id, fingerprint } },
  );
}

/** The backbones of a run, as it uses them. */
export function backbonesOfRun({ backbones, normalization, recipe }: ResolvedRun): BackboneUse[] {
  return backbones.map(({ id }) => ({ id, normalization, precision: recipe.precision }));
}

/** The head of a run whose epoch is kept by a validation part. @throws TrommelError `internal` for `head: auto` */
export function publishedHead({ id, recipe }: RunConfig): HeadRecipe {
  if (recipe.head.type !== "auto") return recipe.head;
  throw new TrommelError(
    "internal",
    `cannot train the head of ${id}: it is auto, which has stages of its own`,
  );
}
