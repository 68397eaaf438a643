import { readWithMarker } from "../../codec/marker.js";
import { parseJsonAs } from "../../parse.js";
import { resolveNormalization } from "../../recipe/resolve-normalization.js";
import type { ObjectStore } from "../../store/object-store.js";
import type { Normalization } from "../backbones/backbone-spec.js";
import { featureFingerprint } from "./fingerprint.js";
import { runKeys } from "../store-keys.js";
import { datasetNormalization } from "../shards/pixel-statistics.js";
import type { RunConfig } from "./run.js";

/** A run whose normalisation is known as figures. */
export interface ResolvedRun extends RunConfig {
  /** What the pixels of every backbone are normalised by; null leaves each what it was imported with. */
  readonly normalization: Normalization | null;
  /** Covers the normalisation, also where the dataset's own pixels gave it. */
  readonly fingerprint: string;
}

/**
 * A run with its normalisation, measured or named.
 * @param read how the measured one is read; stages read it as `readInput` does
 * @throws TrommelError `missing-input` where the dataset's pixels are to be measured and are not yet
 */
export async function resolveRunFeatures(
  store: ObjectStore,
  config: RunConfig,
  read: (store: ObjectStore, key: string) => Promise<{ readonly bytes: Uint8Array }> = readWithMarker,
): Promise<ResolvedRun> {
  const { recipe, backbones, side } = config;
  const asked = resolveNormalization(recipe.normalization);
  if (asked === "backbone") return { ...config, normalization: null };
  if (asked !== "dataset") return { ...config, normalization: asked };
  const key = runKeys(config.id).normalization;
  const { bytes } = await read(store, key);
  const { mean, deviation } = parseJsonAs(datasetNormalization, bytes, key);
  const normalization = { mean, deviation };
  const hashes = backbones.map(({ hash }) => hash);
  return {
    ...config,
    normalization,
    fingerprint: featureFingerprint({ ...recipe, normalization }, hashes, side),
  };
}
