import {
  runKeys,
  split as splitSchema,
  type ObjectStore,
  type RunConfig,
  type Shard,
  type Split,
} from "@trommel/common";
import { parseShard } from "@trommel/common/artefacts/parse-shard";
import { parseSealedAs, sealedJson } from "@trommel/common/codec/sealed-json";
import { readAhead } from "@trommel/common/store/read-ahead";
import { readBounds } from "@trommel/common/store/read-bounds";
import { chooseSplit } from "./choose-split.js";
import type { RankedImages } from "./ranked-images.js";
import type { SplitMemory } from "./split-memory.js";

/** Of a bucket each takes a round trip, and there may be tens of thousands. */
const shardsReadAtOnce = 8;

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
  const body = sealedJson(chosen);
  const outcome = await store.put(splitKey, body, { ifAbsent: true, contentType: "application/json" });
  const standing =
    outcome === "written"
      ? chosen
      : parseSealedAs(splitSchema, await store.get(splitKey, readBounds.dataset), splitKey);
  const count = standing.validation.reduce((sum, positions) => sum + positions.length, 0);
  // Also on a retry: the try before may have ended between the two.
  await memory.write(validationKeys(store, config.id, standing), count);
}

/**
 * Writes the split of a run that tries another's failed files again: the other's, and each of those files on the side that it
 * is on there. The other run has left its validation keys for later runs, and these are the same.
 * @param triedAgain the shards that try files again, in order, those of the other run among them
 */
export async function extendSplit(
  store: ObjectStore,
  { id, retryOf }: RunConfig & { readonly retryOf: NonNullable<RunConfig["retryOf"]> },
  triedAgain: readonly Shard[],
): Promise<void> {
  const from = runKeys(retryOf.run).split;
  const split = parseSealedAs(splitSchema, await store.get(from, readBounds.dataset), from);
  const validation = split.validation.map((positions) => [...positions]);
  for (const { index, supersedes } of triedAgain) {
    if (supersedes === undefined || index < validation.length) continue;
    const validates = supersedes.rows.map(({ shard, position }) => validation[shard]?.includes(position));
    validation[index] = validates.flatMap((is, position) => (is === true ? [position] : []));
  }
  const body = sealedJson({ ...split, validation });
  await store.put(runKeys(id).split, body, { ifAbsent: true, contentType: "application/json" });
}

/** The keys of a split, from the shards that it points into, in the order of the listing. */
async function* validationKeys(store: ObjectStore, id: string, split: Split): AsyncGenerator<string> {
  const having = split.validation.flatMap((positions, index) => (positions.length === 0 ? [] : [index]));
  const shards = readAhead(having, shardsReadAtOnce, async (index) => {
    const key = runKeys(id).shard(index);
    return parseShard(await store.get(key, readBounds.dataset), key);
  });
  for await (const { index, entries } of shards) {
    for (const position of split.validation[index] ?? []) {
      const entry = entries[position];
      if (entry !== undefined) yield entry.key;
    }
  }
}
