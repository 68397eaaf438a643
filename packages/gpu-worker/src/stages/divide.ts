import {
  featureShardKey,
  featureShardMarker,
  readLabelLookup,
  runKeys,
  seedFrom,
  sha256Hex,
  TrommelError,
  type LabelOf,
  type ObjectStore,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { ImageIdentities, noFold, testPart, type FoldSplit } from "@trommel/common/artefacts";
import { putJsonOnce, readInputMarker, sealedJson } from "@trommel/common/codec";
import { autoHeadOf } from "@trommel/common/recipe";
import type { StageContext, StageOutcome } from "./context.js";
import { assignParts, type ImageGroup } from "./folding/assign-parts.js";
import { groupOf } from "./folding/group-of-key.js";
import { ImageGroups } from "./folding/image-groups.js";
import { TestMemory } from "./folding/test-memory.js";
import { adviceOnFailedFiles, readFeatures } from "./inputs/features.js";
import { readFoldSplit } from "./folding/fold-split.js";
import { readListing, readShard } from "./inputs/listing.js";
import { readRunConfig, type ResolvedRun } from "./inputs/run.js";

/**
 * Divide: markers of the feature shards, labels → split.
 *
 * In: the marker of every feature shard, which says what bytes each image has, the labels, and the test parts of earlier runs. Out:
 * `split.json` with the fold or the test part of every image that could be read, and the test part in `splits/`, where
 * later runs look. A retry finds the split, or computes the same bytes again. A run that retries another one's failed
 * images keeps that run's folds and test part.
 */
export async function divide(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const config = await readRunConfig(store, runId);
  const key = runKeys(runId).split;
  const memory = new TestMemory(store, config);
  const images = await readImages(config, context);
  const existing = (await store.head(key)) === undefined ? undefined : await readFoldSplit(store, runId);
  const split = existing ?? (await chooseParts(config, images, await memory.read(), store));
  if (existing === undefined) await putJsonOnce(store, key, sealedJson(split));
  for (const note of split.notes) context.onNote(note);
  // Also on a retry: the previous try may have ended between the two writes.
  const inTest = images.filter(({ shard, position }) => split.parts[shard]?.[position] === testPart);
  await memory.write(inTest.flatMap(({ tokens }) => tokens));
  return { images: 0, failed: 0 };
}

interface DividedImage {
  readonly shard: number;
  readonly position: number;
  readonly label: string;
  /** Hash of what the file's bytes are; equal files have equal ones. */
  readonly content: string;
  /** Images that share one of them are never divided: of the content, of the group. The first is of the key, which none share. */
  readonly tokens: readonly string[];
}

/** Every image that could be read, in listing order. */
async function readImages(config: ResolvedRun, context: StageContext): Promise<DividedImage[]> {
  const { store, signal } = context;
  const keys = runKeys(config.id);
  const { shards } = await readListing(store, keys.listing);
  const labelOf = await readLabelLookup(store, config);
  const read = async (
    contentsOf: (...of: Parameters<typeof fileHashes>) => Promise<Contents | undefined>,
  ): Promise<DividedImage[] | undefined> => {
    const images: DividedImage[] = [];
    for (let index = 0; index < shards; index += 1) {
      signal.throwIfAborted();
      const shard = await readShard(store, keys.shard(index));
      const contents = await contentsOf(store, config, shard);
      if (contents === undefined) return undefined;
      for (const [position, content] of contents)
        images.push(imageOf(config, labelOf, shard, position, content));
    }
    return images;
  };
  // A shard of an earlier version does not say what bytes its files have. Equal files have equal embeddings too.
  return (await read(fileHashes)) ?? (await read(embeddingHashes)) ?? [];
}

type Contents = ReadonlyMap<number, string>;

/** By position; undefined if the shard's marker does not say it. */
async function fileHashes(
  store: ObjectStore,
  config: ResolvedRun,
  shard: Shard,
): Promise<Contents | undefined> {
  const key = featureShardKey(config.fingerprint, shard.hash);
  const marker = await readInputMarker(store, key, featureShardMarker);
  const identities = ImageIdentities.unpack(marker);
  const failed = new Set(marker.failed.map(({ position }) => position));
  const contents = new Map<number, string>();
  let image = 0;
  for (const position of shard.entries.keys()) {
    if (failed.has(position)) continue;
    const hash = identities?.file(image)?.toString("hex");
    if (hash === undefined) return undefined;
    contents.set(position, hash);
    image += 1;
  }
  return contents;
}

/** By position: the hash of the embedding of the image itself. */
async function embeddingHashes(store: ObjectStore, config: ResolvedRun, shard: Shard): Promise<Contents> {
  const { dimension, features, image, view } = await readFeatures(store, config, shard);
  const contents = new Map<number, string>();
  for (const [row, position] of image.entries()) {
    if (view[row] !== 0) continue;
    const values = features.subarray(row * dimension, (row + 1) * dimension);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    contents.set(position, sha256Hex(bytes).slice(0, 32));
  }
  return contents;
}

function imageOf(
  { id, recipe }: RunConfig,
  labelOf: LabelOf,
  shard: Shard,
  position: number,
  content: string,
): DividedImage {
  const key = shard.entries[position]?.key ?? "";
  const label = labelOf(key);
  if (label === undefined)
    throw new TrommelError("corrupt", `cannot divide ${id}: ${JSON.stringify(key)} has no label`, {
      context: { key },
    });
  const group = groupOf(recipe.split.groups, key);
  const named = [
    `key:${key.normalize("NFC")}`,
    `content:${content}`,
    ...(group === undefined ? [] : [`group:${group}`]),
  ];
  const tokens = named.map((name) => sha256Hex(name).slice(0, 24));
  return { shard: shard.index, position, label, content, tokens };
}

async function chooseParts(
  config: RunConfig,
  images: readonly DividedImage[],
  remembered: ReadonlySet<string>,
  store: ObjectStore,
): Promise<FoldSplit> {
  const { recipe } = config;
  const { classes = [], shards } = await readListing(store, runKeys(config.id).listing);
  const labels = classes.map(({ label }) => label);
  checkReadable(config.id, classes, images);
  const { retryOf } = config;
  const before = retryOf === undefined ? undefined : await readFoldSplit(store, retryOf.run);
  const together = new ImageGroups();
  for (const { tokens } of images) together.add(tokens);
  const members = together.groups();
  const indexOf = new Map(labels.map((label, index) => [label, index]));
  const groups = members.map((of): ImageGroup => {
    const own = of.map((image) => images[image] as DividedImage);
    return {
      classes: own.map(({ label }) => indexOf.get(label) ?? 0),
      rank: rankOf(recipe.seed, own),
      fixed: fixedPart(own, before, remembered),
    };
  });
  const { folds: asked } = autoHeadOf(config);
  const { folds, parts, notes } = assignParts(groups, labels, {
    folds: before?.folds ?? asked,
    test: before === undefined ? recipe.split.test : null,
  });
  const byShard: number[][] = [];
  const groupsByShard: number[][] = [];
  for (let index = 0; index < shards; index += 1) {
    const { entries } = await readShard(store, runKeys(config.id).shard(index));
    byShard.push(new Array<number>(entries.length).fill(noFold));
    groupsByShard.push(new Array<number>(entries.length).fill(0));
  }
  for (const [group, of] of members.entries()) {
    for (const image of of) {
      const { shard, position } = images[image] as DividedImage;
      byShard[shard]![position] = parts[group] as number;
      groupsByShard[shard]![position] = group;
    }
  }
  const said = [...(before?.notes ?? []), ...notes, ...followersNote(members, images, remembered)];
  return {
    formatVersion: 3,
    seed: recipe.seed,
    folds,
    parts: byShard,
    groups: members.length === images.length ? null : groupsByShard,
    notes: [...new Set(said)],
  };
}

/** From what the images are, whatever their keys: the least of the hashes of the seed and each image's content. */
function rankOf(seed: number, images: readonly DividedImage[]): number {
  return images.reduce(
    (least, { content }) => Math.min(least, seedFrom("division", seed, content) >>> 0),
    2 ** 32,
  );
}

/** The part of the first image that has one already. */
function fixedPart(
  images: readonly DividedImage[],
  before: FoldSplit | undefined,
  remembered: ReadonlySet<string>,
): number | undefined {
  if (before === undefined) return isRemembered(images, remembered) ? testPart : undefined;
  const known = images.map(({ shard, position }) => before.parts[shard]?.[position]);
  return known.find((part) => part !== undefined && part !== noFold);
}

function isRemembered(images: readonly DividedImage[], remembered: ReadonlySet<string>): boolean {
  return images.some(({ tokens }) => tokens.some((token) => remembered.has(token)));
}

/** Images that no earlier run tested on, and that are tested on now because of a copy or a member of their group. */
function followersNote(
  members: readonly (readonly number[])[],
  images: readonly DividedImage[],
  remembered: ReadonlySet<string>,
): string[] {
  let followers = 0;
  for (const of of members) {
    const own = of.map((image) => images[image] as DividedImage);
    if (isRemembered(own, remembered))
      followers += own.filter(({ tokens }) => !remembered.has(tokens[0] as string)).length;
  }
  if (followers === 0) return [];
  const count = followers === 1 ? "1 image is" : `${followers} images are`;
  return [
    `${count} in the test part because a copy or a member of the same group was in it in an earlier run.`,
  ];
}

/** @throws TrommelError `bad-dataset` if no image of a class could be read */
function checkReadable(
  id: string,
  classes: readonly { readonly label: string; readonly images: number }[],
  images: readonly DividedImage[],
): void {
  const readable = new Set(images.map(({ label }) => label));
  const missing = classes.filter(({ label, images: listed }) => listed > 0 && !readable.has(label));
  if (missing.length === 0) return;
  throw new TrommelError(
    "bad-dataset",
    `cannot train: no image of class ${missing.map(({ label }) => JSON.stringify(label)).join(", ")} could be read. ${adviceOnFailedFiles(id)}`,
  );
}
