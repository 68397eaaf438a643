import {
  readLabelLookup,
  runKeys,
  type BundleManifest,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import { noFold, testPart, type FoldSplit } from "@trommel/common/artefacts";
import { readShard } from "../inputs/listing.js";

/**
 * How many images of each class train and validate, which with several folds are the same ones, and how many are in the test part.
 */
export async function countParts(
  store: ObjectStore,
  config: RunConfig,
  split: FoldSplit,
  labels: readonly string[],
): Promise<BundleManifest["data"]["classes"]> {
  const labelOf = await readLabelLookup(store, config);
  const counts = new Map(labels.map((label) => [label, { label, train: 0, validation: 0, test: 0 }]));
  for (const [index, parts] of split.parts.entries()) {
    const { entries } = await readShard(store, runKeys(config.id).shard(index));
    for (const [position, part] of parts.entries()) {
      const count = counts.get(labelOf(entries[position]?.key ?? "") ?? "");
      if (count === undefined || part === noFold) continue;
      if (part === testPart) count.test += 1;
      else {
        if (split.folds > 1 || part > 0) count.train += 1;
        if (split.folds > 1 || part === 0) count.validation += 1;
      }
    }
  }
  return [...counts.values()];
}
