import { findMarker, markerKeyOf, readWithMarker, writeWithMarker } from "../../codec/marker.js";
import type { ReadArtefact } from "../../codec/stage-input.js";
import { parseJsonAs } from "../../parse.js";
import { resolveNormalization } from "../../recipe/resolve-normalization.js";
import type { ObjectStore } from "../../store/object-store.js";
import type { Normalization } from "../backbones/backbone-spec.js";
import { featureFingerprint } from "./fingerprint.js";
import { runKeys } from "../store-keys.js";
import { datasetNormalization } from "../shards/pixel-statistics.js";
import { networkRunsOf, tunedKeyOf, untunedOf, type RunConfig } from "./run.js";
import { foldNetworks, tunedBackbone } from "./tuning-figures.js";

/** A run whose normalisation is known as figures. */
export interface ResolvedRun extends RunConfig {
  /** What the pixels of every backbone are normalised by; null leaves each what it was imported with. */
  readonly normalization: Normalization | null;
  /** Covers the normalisation, also where the dataset's own pixels gave it. */
  readonly fingerprint: string;
}

/**
 * A run with its normalisation, measured or named, and with the backbones that it tuned.
 * @param read how what was measured and tuned is read; stages read it as `readInput` does
 * @throws TrommelError `missing-input` where the dataset's pixels are to be measured, or the backbone to be tuned, and are not yet
 */
export async function resolveRunFeatures(
  store: ObjectStore,
  config: RunConfig,
  read: ReadArtefact = readWithMarker,
): Promise<ResolvedRun> {
  const { recipe, side } = config;
  const asked = resolveNormalization(recipe.normalization);
  const backbones = recipe.tune === null ? config.backbones : await readTuned(store, config, read);
  if (asked !== "dataset" && recipe.tune === null)
    return { ...config, normalization: asked === "backbone" ? null : asked };
  const normalization =
    asked === "dataset" ? await readMeasured(store, config, read) : asked === "backbone" ? null : asked;
  const hashes = backbones.map(({ hash }) => hash);
  const figures = normalization === null ? {} : { normalization };
  return {
    ...config,
    backbones,
    normalization,
    fingerprint: featureFingerprint({ ...recipe, ...figures }, hashes, side),
  };
}

/**
 * Gives a run that tunes a copy of what the run that it follows has measured: that one may be removed later.
 * @throws TrommelError `missing-input` if it was not measured
 */
export async function ownNormalization(store: ObjectStore, config: RunConfig): Promise<void> {
  const own = runKeys(config.id).normalization;
  if ((await findMarker(store, own)) !== undefined) return;
  const { bytes } = await readWithMarker(store, runKeys(untunedOf(config) ?? config.id).normalization);
  await writeWithMarker(store, own, bytes);
}

/** A run that tunes is normalised as the one that it follows, whose figures it reads until it has a copy of them. */
async function readMeasured(
  store: ObjectStore,
  config: RunConfig,
  read: ReadArtefact,
): Promise<Normalization> {
  const own = runKeys(config.id).normalization;
  const untuned = untunedOf(config);
  const hasOwn = untuned === undefined || (await store.head(markerKeyOf(own))) !== undefined;
  const key = hasOwn ? own : runKeys(untuned).normalization;
  const { mean, deviation } = parseJsonAs(datasetNormalization, (await read(store, key)).bytes, key);
  return { mean, deviation };
}

async function readTuned(
  store: ObjectStore,
  config: RunConfig,
  read: ReadArtefact,
): Promise<RunConfig["backbones"]> {
  const key = tunedKeyOf(config);
  const { bytes } = await read(store, key);
  const tuned =
    networkRunsOf(config).length === 0
      ? [parseJsonAs(tunedBackbone, bytes, key)]
      : parseJsonAs(foldNetworks, bytes, key).backbones;
  return tuned.map(({ round: _, ...of }) => of);
}
