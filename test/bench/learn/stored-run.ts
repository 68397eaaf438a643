import { link, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  canonicalJson,
  compareUtf8,
  featureFingerprint,
  featureShardKey,
  openStore,
  resolveLocation,
  runConfig,
  runKeys,
  SeededRandom,
  sha256Hex,
  type ObjectStore,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { markerKeyOf } from "#common/codec/marker";
import { autoHeadOf, type AutoHead } from "@trommel/common/recipe";
import { parseSealedAs, sealedJson } from "#common/codec/sealed-json";
import { writeListing, writeShard } from "#coordinator/plan/stream-shards";
import { readListing, readShard } from "#gpu-worker/stages/inputs/listing";
import { z } from "zod";

/**
 * A run on the features of another one, as the command and the plan would write it, for the head stages alone. Other seeds have
 * features of their own, since views are drawn from the seed; here the features of one seed stand for those of all, so that
 * twenty divisions cost no extraction. Heads do not know from which seed a view was drawn.
 */
export interface StoredRunOptions {
  /** Folder of the store. */
  readonly folder: string;
  /** The run that has the features. */
  readonly from: string;
  readonly id: string;
  /** Of the division, the heads and the bootstrap. */
  readonly seed: number;
  /** Share of the test part. */
  readonly test: number | null;
  readonly effort: AutoHead["effort"];
  /** Shuffles the labels among the images. */
  readonly randomLabels: boolean;
  /** How often every image is listed, each time under another name. */
  readonly copies: number;
}

/** Writes the run's configuration, labels and shards, and links its features. */
export async function writeStoredRun(options: StoredRunOptions): Promise<RunConfig> {
  const store = openStore(resolveLocation(options.folder));
  const base = await readConfig(store, options.from);
  const labels = await labelTable(store, base, options);
  const config = configOf(base, options, labels);
  const keys = runKeys(config.id);
  if (labels !== null) await store.put(keys.labels, labels);
  await store.put(keys.config, sealedJson(config));
  const listing = await readListing(store, runKeys(base.id).listing);
  let index = 0;
  for (let copy = 0; copy < options.copies; copy += 1) {
    for (let of = 0; of < listing.shards; of += 1) {
      const shard = await readShard(store, runKeys(base.id).shard(of));
      const entries = shard.entries.map((entry) => ({ ...entry, key: keyOfCopy(entry.key, copy) }));
      const written = await writeShard(store, keys.shard(index), index, { entries, skipped: [] });
      await linkFeatures(options.folder, { from: base, shard }, { to: config, shard: written });
      index += 1;
    }
  }
  const times = (count: number): number => count * options.copies;
  await writeListing(store, keys.listing, {
    ...listing,
    shards: index,
    listed: times(listing.images),
    images: times(listing.images),
    skipped: 0,
    sizeBytes: times(listing.sizeBytes),
    classes: (listing.classes ?? []).map(({ label, images }) => ({ label, images: times(images) })),
  });
  store.close();
  return config;
}

/** Everything that {@link writeStoredRun} and the stages have written. The features of the base run stay. */
export async function removeStoredRun(folder: string, config: RunConfig, from: string): Promise<void> {
  const store = openStore(resolveLocation(folder));
  const base = await readConfig(store, from);
  store.close();
  await rm(path.join(folder, runKeys(config.id).root), { recursive: true, force: true });
  if (config.fingerprint !== base.fingerprint)
    await rm(path.join(folder, "features", config.fingerprint), { recursive: true, force: true });
}

export async function readConfig(store: ObjectStore, id: string): Promise<RunConfig> {
  const key = runKeys(id).config;
  return parseSealedAs(runConfig, await store.get(key), key);
}

function configOf(base: RunConfig, options: StoredRunOptions, labels: Buffer | null): RunConfig {
  const { id, seed, test, effort } = options;
  const recipe = {
    ...base.recipe,
    seed,
    split: { ...base.recipe.split, test },
    head: { ...autoHeadOf(base), effort, repeats: null, learningCurve: false },
  };
  const hashes = base.backbones.map(({ hash }) => hash);
  return {
    ...base,
    id,
    recipe,
    labels: labels === null ? base.labels : { classes: null, tableSha256: sha256Hex(labels) },
    fingerprint: featureFingerprint(recipe, hashes, base.side),
  };
}

const keyOfCopy = (key: string, copy: number): string => (copy === 0 ? key : `copy-${copy}/${key}`);

/** The labels of all images and copies, or null where their folders tell them. */
async function labelTable(
  store: ObjectStore,
  base: RunConfig,
  { randomLabels, copies, seed }: StoredRunOptions,
): Promise<Buffer | null> {
  if (!randomLabels && copies === 1) return null;
  const keys: string[] = [];
  const { shards } = await readListing(store, runKeys(base.id).listing);
  for (let index = 0; index < shards; index += 1) {
    const { entries } = await readShard(store, runKeys(base.id).shard(index));
    keys.push(...entries.map(({ key }) => key));
  }
  const own = keys.map((key) => key.split("/")[0] ?? "");
  const labels = randomLabels ? new SeededRandom(seed).shuffle(own) : own;
  const rows = keys.flatMap((key, at) =>
    Array.from({ length: copies }, (_, copy) => [keyOfCopy(key, copy), labels[at] ?? ""] as const),
  );
  rows.sort(([a], [b]) => compareUtf8(a, b));
  return Buffer.from(canonicalJson({ formatVersion: 1, labels: rows }));
}

interface FeaturesOf {
  readonly shard: Shard;
}

async function linkFeatures(
  folder: string,
  { from, shard }: FeaturesOf & { readonly from: RunConfig },
  { to, shard: other }: FeaturesOf & { readonly to: RunConfig },
): Promise<void> {
  const [source, target] = [
    featureShardKey(from.fingerprint, shard.hash),
    featureShardKey(to.fingerprint, other.hash),
  ];
  if (source === target) return;
  await mkdir(path.join(folder, path.dirname(target)), { recursive: true });
  const there = new Set(await readdir(path.join(folder, path.dirname(target))));
  if (!there.has(path.basename(target))) await link(path.join(folder, source), path.join(folder, target));
  const marker = z
    .record(z.string(), z.json())
    .parse(JSON.parse(await readFile(path.join(folder, markerKeyOf(source)), "utf8")));
  await writeFile(path.join(folder, markerKeyOf(target)), canonicalJson({ ...marker, key: target }));
}
