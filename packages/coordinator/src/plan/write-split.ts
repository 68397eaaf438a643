import {
  canonicalJson,
  parseJsonAs,
  runKeys,
  shard as shardSchema,
  split as splitSchema,
  type ObjectStore,
  type RunConfig,
  type Split,
} from "@trommel/common";
import { chooseSplit } from "./choose-split.js";
import type { RankedImages } from "./ranked-images.js";
import type { SplitMemory } from "./split-memory.js";

/**
 * Writes a run's split, and its validation keys where later runs on the same dataset find them.
 * A split that is there already stays.
 */
export async function writeSplit(
  store: ObjectStore,
  config: RunConfig,
  images: RankedImages,
  memory: SplitMemory,
): Promise<void> {
  const { seed, validation } = config.recipe;
  const { split: splitKey } = runKeys(config.id);
  const { fraction, of } = validation;
  const chosen: Split = {
    formatVersion: 2,
    seed,
    fraction,
    validation: chooseSplit(images, { fraction, of }),
  };
  const body = Buffer.from(canonicalJson(chosen), "utf8");
  const outcome = await store.put(splitKey, body, { ifAbsent: true, contentType: "application/json" });
  const standing =
    outcome === "written" ? chosen : parseJsonAs(splitSchema, await store.get(splitKey), splitKey);
  const count = standing.validation.reduce((sum, positions) => sum + positions.length, 0);
  // Also on a retry: the try before may have ended between the two.
  await memory.write(validationKeys(store, config.id, standing), count);
}

/** The keys of a split, from the shards that it points into, in the order of the listing. */
async function* validationKeys(store: ObjectStore, id: string, split: Split): AsyncGenerator<string> {
  for (const [index, positions] of split.validation.entries()) {
    if (positions.length === 0) continue;
    const key = runKeys(id).shard(index);
    const { entries } = parseJsonAs(shardSchema, await store.get(key), key);
    for (const position of positions) {
      const entry = entries[position];
      if (entry !== undefined) yield entry.key;
    }
  }
}
