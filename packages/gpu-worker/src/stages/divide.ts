import { runKeys, TrommelError, type ObjectStore } from "@trommel/common";
import { noFold, readDivision, testPart, type Division, type FoldSplit } from "@trommel/common/artefacts";
import { putJsonOnce, sealedJson } from "@trommel/common/codec";
import { autoHeadOf, foldsOf, repeatsOf, testShare } from "@trommel/common/recipe";
import type { StageContext, StageOutcome } from "./context.js";
import { backboneNotes } from "./dividing/backbone-notes.js";
import { readDividedImages, type DividedImage } from "./dividing/divided-images.js";
import { byPlace, drawDivisions, partBefore } from "./dividing/divisions.js";
import { ImageGroups } from "./dividing/image-groups.js";
import { divisionNotes, groupingNotes, groupingOf } from "./dividing/division-notes.js";
import { readFoldSplit } from "./folding/fold-split.js";
import { contradictionNotes, findContradictions } from "./dividing/contradictions.js";
import { undividable } from "./dividing/undividable.js";
import { TestMemory } from "./dividing/test-memory.js";
import { adviceOnFailedFiles } from "./inputs/features.js";
import { readListing, readShard } from "./inputs/listing.js";
import { readRunConfig, type ResolvedRun } from "./inputs/run.js";
import { tunedSplit } from "./tuning/frozen-images.js";

/**
 * Divide: markers of the feature shards, labels, division → split.
 *
 * In: the marker of every feature shard, which says what bytes each image has, the labels, what a list or a column says of the
 * division, and the test parts of earlier runs. Out: `split.json` with the fold or the test part of every image that could be read, in
 * each division, and the test part in `splits/`, where later runs look. A retry finds the split, or computes the same bytes again. A
 * run that retries another one's failed images keeps that run's divisions and test part; one that tunes its backbone has those of the
 * run without tuning, of which only the held-out fold is predicted.
 */
export async function divide(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const config = await readRunConfig(store, runId);
  const key = runKeys(runId).split;
  const memory = new TestMemory(store, config);
  const division = await readDivision(store, config);
  const images = await readDividedImages(config, division, context);
  const existing =
    (await store.head(key)) === undefined
      ? await tunedSplit(store, config)
      : await readFoldSplit(store, runId);
  const given = { images, remembered: existing === undefined ? await memory.read() : noTokens, division };
  const split = existing ?? (await chooseParts(config, given, store));
  await putJsonOnce(store, key, sealedJson(split));
  for (const note of [...groupingNotes(split.grouping), ...split.notes]) context.onNote(note);
  // Also on a retry: the previous try may have ended between the two writes.
  const inTest = images.filter(({ shard, position }) => split.parts[shard]?.[position] === testPart);
  await memory.write(inTest.flatMap(({ tokens }) => tokens));
  return { images: 0, failed: 0 };
}

const noTokens: ReadonlySet<string> = new Set();

interface Given {
  readonly images: readonly DividedImage[];
  /** Tokens of what earlier runs tested on. */
  readonly remembered: ReadonlySet<string>;
  readonly division: Division;
}

async function chooseParts(config: ResolvedRun, given: Given, store: ObjectStore): Promise<FoldSplit> {
  const { recipe, retryOf } = config;
  const { images, division } = given;
  const { classes = [], shards } = await readListing(store, runKeys(config.id).listing);
  const labels = classes.map(({ label }) => label);
  checkReadable(config.id, classes, images);
  const before = retryOf === undefined ? undefined : await readFoldSplit(store, retryOf.run);
  const together = new ImageGroups();
  for (const { tokens } of images) together.add(tokens);
  const groups = together.groups();
  const members = groups.map((of) => of.map((image) => images[image] as DividedImage));
  const head = autoHeadOf(config);
  const { folds, parts, notes } = drawDivisions(members, labels, {
    ...{ seed: recipe.seed, before },
    folds: before?.folds ?? foldsOf(head),
    repeats: before === undefined ? repeatsOf(head) : 1 + (before.furtherParts?.length ?? 0),
    test: before === undefined ? testShare(recipe.split) : null,
    fixedPart: (own) => fixedPart(own, before, given),
    undividable: (index, parts) => {
      const name = labels[index] as string;
      const inTest = new Set(members.flatMap((of, group) => (parts[group] === testPart ? of : [])));
      const readable = images.filter(({ label }) => label === name).length;
      return undividable({
        ...{ run: config.id, name, images, groupOf: division.groupOf },
        failed: Math.max(0, (classes[index]?.images ?? 0) - readable),
        isTested: (image) => inTest.has(image),
      });
    },
  });
  const sizes: number[] = [];
  for (let index = 0; index < shards; index += 1)
    sizes.push((await readShard(store, runKeys(config.id).shard(index))).entries.length);
  const byShard = byPlace(parts[0], members, sizes, noFold);
  const furtherParts = parts.slice(1).map((of) => byPlace(of, members, sizes, noFold));
  const partOf = ({ shard, position }: DividedImage): number => byShard[shard]![position]!;
  const contradictions = findContradictions(images);
  const said = [
    ...(before?.notes ?? []),
    ...notes,
    ...(await backboneNotes(store, config)),
    ...divisionNotes({ ...given, members: groups, partOf }),
    ...contradictionNotes(contradictions),
  ];
  return {
    formatVersion: 3,
    seed: recipe.seed,
    folds,
    parts: byShard,
    ...(furtherParts.length === 0 ? {} : { furtherParts }),
    groups: members.length === images.length ? null : byPlace([...members.keys()], members, sizes, 0),
    grouping: groupingOf(images, division),
    contradictions,
    notes: [...new Set(said)],
  };
}

/**
 * The part of the first image that has one already. A list of the test part decides over earlier runs, and all members of a group
 * follow those that it names; the run that this one retries decides over the list.
 */
function fixedPart(
  images: readonly DividedImage[],
  before: FoldSplit | undefined,
  { remembered, division: { listed } }: Given,
): number | undefined {
  const part = partBefore(images, before?.parts);
  if (part !== undefined) return part;
  const isTested =
    listed === undefined
      ? before === undefined && images.some(({ tokens }) => tokens.some((token) => remembered.has(token)))
      : images.some(({ key }) => listed.has(key));
  return isTested ? testPart : undefined;
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
