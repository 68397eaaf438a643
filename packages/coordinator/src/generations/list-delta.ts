import type { ScoringConfig, Shard } from "@trommel/common";
import { findShard, type ScoringGeneration } from "@trommel/common/artefacts";
import { EntryTable } from "@trommel/common/codec";
import { KeyFilter } from "../listing/key-filter.js";
import type { PlanContext } from "../plan/plan-context.js";
import { writeWithColumns } from "../plan/stream-shards.js";
import { openSource, placeOf } from "../sources/open-source.js";
import { writeDelta, type Delta } from "./delta.js";
import type { DeadPlaces } from "./dead-places.js";
import { KnownEntries } from "./known-entries.js";
import { listEntries, type ListedEntry } from "./list-entries.js";
import { SkippedSums } from "./skipped-sums.js";

/** What {@link listDelta} has queued so far. */
export interface DeltaSoFar {
  readonly shards: number;
  readonly images: number;
}

/**
 * Lists the source of a later generation, and compares.
 *
 * In: the listing, and the shards that the generation begins with. Out: shards of what is new or changed, each passed on once its file is
 * written, and at last `delta.json`, with what of the earlier parts is out of date.
 * A try that was interrupted left shards behind: they stay as they are, and the source is listed from the start, because nothing says which entries were met.
 */
export async function listDelta(
  config: ScoringConfig,
  generation: ScoringGeneration,
  context: Pick<PlanContext, "store" | "signal" | "openSource" | "onNotice">,
  { dead, onShard }: { readonly dead: DeadPlaces; readonly onShard: (soFar: DeltaSoFar) => Promise<void> },
): Promise<Delta> {
  const { store, signal } = context;
  const { keys } = generation;
  const known = await KnownEntries.read(store, config, generation, dead, signal);
  const earlier = new EntryTable();
  let shards = 0;
  let images = 0;
  let sizeBytes = 0;
  const count = async ({ entries }: Pick<Shard, "entries">): Promise<void> => {
    shards += 1;
    images += entries.length;
    for (const entry of entries) sizeBytes += entry.sizeBytes;
    await onShard({ shards, images });
  };
  for (;;) {
    const written = await findShard(store, keys.shard(shards));
    if (written === undefined) break;
    for (const { key } of written.entries) earlier.add(key);
    await count(written);
  }
  const filter = new KeyFilter(config);
  const skipped = new SkippedSums();
  let keptImages = 0;
  let building: ListedEntry[] = [];
  const source = openSource(placeOf(config), context.openSource, { onNotice: context.onNotice });
  const cut = async (): Promise<void> => {
    const content = {
      entries: building.map(({ entry }) => entry),
      carried: building.map(({ carried }) => carried),
      skipped: [],
    };
    const to = { store, source, shardKey: keys.shard, columnsKey: keys.columns };
    await count(await writeWithColumns(to, shards, content));
    building = [];
  };
  try {
    for await (const listed of listEntries(config, { store, source, filter, skipped, signal })) {
      const { entry } = listed;
      // Nearly always nothing was interrupted, and no key is hashed for it.
      if (earlier.count > 0 && earlier.find(entry.key) !== undefined) continue;
      if (known.meet(listed)) {
        keptImages += 1;
        sizeBytes += entry.sizeBytes;
        continue;
      }
      building.push(listed);
      if (building.length === config.shardSize) await cut();
    }
    if (building.length > 0) await cut();
  } finally {
    source.close();
  }
  const delta: Delta = {
    formatVersion: 1,
    ...{ shards, images },
    listed: { images: keptImages + images, sizeBytes },
    skippedByReason: skipped.byReason,
    skippedKeys: skipped.keys,
    excluded: skipped.excluded,
    withoutEffect: filter.isOpen ? null : filter.withoutEffect(skipped.excluded),
    outOfDate: [...known.unmetByPart()].map(({ part, positions, all }) => [
      part,
      all ? null : [...positions],
    ]),
  };
  await writeDelta(store, generation.deltaKey, delta);
  return delta;
}
