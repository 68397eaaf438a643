import { readLabelLookup, runKeys, type RunConfig, type Shard } from "@trommel/common";
import type { Choice, FoldSplit } from "@trommel/common/artefacts";
import type { StageContext } from "../context.js";
import { readListing, readShard } from "../inputs/listing.js";
import type { Chosen } from "./estimates.js";
import type { FoldedImages } from "./out-of-fold.js";

/** Images in listing order, by their shards and positions. */
type Places = Pick<FoldedImages, "shard" | "position">;

/** The number of each image's group. */
export function groupsOf({ groups }: FoldSplit, { shard, position }: Places): Int32Array {
  return Int32Array.from(shard, (index, image) => groups?.[index]?.[position[image] as number] ?? image);
}

/** The classes of the images, in their order. */
export async function readImageLabels(
  config: RunConfig,
  images: Places,
  classNames: readonly string[],
  { store }: StageContext,
): Promise<Int32Array> {
  const labelOf = await readLabelLookup(store, config);
  const indexOf = new Map(classNames.map((label, index) => [label, index]));
  const { shards } = await readListing(store, runKeys(config.id).listing);
  const labels = new Int32Array(images.shard.length);
  let image = 0;
  for (let index = 0; index < shards; index += 1) {
    const { entries } = await readShard(store, runKeys(config.id).shard(index));
    for (; images.shard[image] === index; image += 1) {
      const key = entries[images.position[image] as number]?.key ?? "";
      labels[image] = indexOf.get(labelOf(key) ?? "") ?? -1;
    }
  }
  return labels;
}

/** Mistakes with the keys of their images. */
export async function withKeys(
  { id }: RunConfig,
  { shard, position }: Places,
  mistakes: Chosen["mistakes"],
  { store }: StageContext,
): Promise<Choice["mistakes"]> {
  const entries = new Map<number, Shard["entries"]>();
  for (const index of new Set(mistakes.map(({ row }) => shard[row] as number)))
    entries.set(index, (await readShard(store, runKeys(id).shard(index))).entries);
  return mistakes.map(({ row, ...mistake }) => ({
    key: entries.get(shard[row] as number)?.[position[row] as number]?.key ?? "",
    ...mistake,
  }));
}
