import { readLabelLookup, runKeys, TrommelError, type Split } from "@trommel/common";
import { readDivision, type Contradictions, type Division, type ImagePlace } from "@trommel/common/artefacts";
import type { StageContext } from "../context.js";
import { fileHashes } from "../inputs/image-contents.js";
import { readListing, readShard } from "../inputs/listing.js";
import type { ResolvedRun } from "../inputs/run.js";
import { heldBackOf, readSplit } from "../inputs/split.js";
import { contradictionNotes, findContradictions } from "./contradictions.js";
import { RepeatedHashes } from "./repeated-hashes.js";
import { wholeParts, type SplitImage } from "./whole-parts.js";

/** The split of a single head, with copies and the members of a group on one side. */
export interface SettledSplit {
  readonly split: Split;
  /** Images that are on another side than the split puts them. */
  readonly moved: readonly ImagePlace[];
  /** Every image that has a copy or is in a group, on whichever side; all others are related to none. */
  readonly related: readonly SplitImage[];
  /** What a person should know of it, in sentences. */
  readonly notes: readonly string[];
  /** Null without any. */
  readonly contradictions: Contradictions | null;
}

/**
 * The split as it counts. It was chosen by keys, before any image was read; what the images are is known only now. The same markers
 * give the same split, so that every stage that asks gets the same. It holds eight bytes for each image that has
 * neither a copy nor a group.
 * @throws TrommelError `bad-dataset` if nothing is left to validate on, `missing-input` without a feature shard
 */
export async function settleSplit(config: ResolvedRun, context: StageContext): Promise<SettledSplit> {
  const planned = await readSplit(context.store, config.id);
  const division = await readDivision(context.store, config);
  const images = await readRelated({ config, planned, division, context });
  const { related } = images;
  if (related.length === 0) return { split: planned, moved: [], related, notes: [], contradictions: null };
  const { toTraining, toValidation } = wholeParts(related, images.unrelated, config.recipe.seed);
  const contradictions = findContradictions(related);
  const moved = [...toTraining, ...toValidation];
  const split = moved.length === 0 ? planned : withMoved(planned, toTraining, toValidation);
  if (split.validation.every(({ length }) => length === 0) && moved.length > 0) throw nothingLeft(config.id);
  return {
    split,
    moved,
    related,
    notes: [...movedNotes(moved), ...contradictionNotes(contradictions)],
    contradictions,
  };
}

interface Related {
  /** Those that have a copy or a group. */
  readonly related: readonly SplitImage[];
  /** The others by label. */
  readonly unrelated: ReadonlyMap<string, { readonly train: number; readonly validation: number }>;
}

/** A shard that an earlier version extracted does not tell what bytes its files have: its images have groups and no copies. */
async function readRelated(of: {
  readonly config: ResolvedRun;
  readonly planned: Split;
  readonly division: Division;
  readonly context: StageContext;
}): Promise<Related> {
  const { config, planned, division } = of;
  const { store, signal } = of.context;
  const keys = runKeys(config.id);
  const { shards } = await readListing(store, keys.listing);
  const hashes = new RepeatedHashes();
  for (let index = 0; index < shards; index += 1) {
    signal.throwIfAborted();
    const contents = await fileHashes(store, config, await readShard(store, keys.shard(index)));
    for (const content of contents?.values() ?? []) hashes.add(content);
  }
  const isRepeated = hashes.find();
  if (isRepeated === undefined && division.groupedBy === undefined)
    return { related: [], unrelated: new Map() };
  const labelOf = await readLabelLookup(store, config);
  const related: SplitImage[] = [];
  const unrelated = new Map<string, { train: number; validation: number }>();
  for (let index = 0; index < shards; index += 1) {
    signal.throwIfAborted();
    const shard = await readShard(store, keys.shard(index));
    const { validation, test } = heldBackOf(planned, index);
    const contents = await fileHashes(store, config, shard);
    for (const position of contents?.keys() ?? shard.entries.keys()) {
      const key = shard.entries[position]?.key ?? "";
      const content = contents?.get(position) ?? `of ${key}`;
      const label = labelOf(key) ?? "";
      const group = division.groupOf(key);
      const side = test.has(position) ? "test" : validation.has(position) ? "validation" : "train";
      if (group !== undefined || isRepeated?.(content) === true) {
        related.push({ shard: index, position, key, label, content, group, side });
      } else if (side !== "test") {
        const counts = unrelated.get(label) ?? { train: 0, validation: 0 };
        unrelated.set(label, counts);
        counts[side] += 1;
      }
    }
  }
  return { related, unrelated };
}

function withMoved(
  planned: Split,
  toTraining: readonly ImagePlace[],
  toValidation: readonly ImagePlace[],
): Split {
  const byShard = planned.validation.map((positions) => new Set(positions));
  for (const { shard, position } of toTraining) byShard[shard]?.delete(position);
  for (const { shard, position } of toValidation) byShard[shard]?.add(position);
  return { ...planned, validation: byShard.map((positions) => [...positions].sort((a, b) => a - b)) };
}

function movedNotes(moved: readonly ImagePlace[]): string[] {
  if (moved.length === 0) return [];
  const count = moved.length === 1 ? "1 image is" : `${moved.length} images are`;
  return [
    `${count} on another side of the split than their keys say, so that neither copies nor the members of a group are divided between training and validation.`,
  ];
}

function nothingLeft(run: string): TrommelError {
  return new TrommelError(
    "bad-dataset",
    `cannot train ${run}: no image is left to validate on, because every image that could be has a copy or a member of its group that must train. Add other images, or remove copies`,
    { context: { run } },
  );
}
