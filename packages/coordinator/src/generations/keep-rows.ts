import type { ObjectStore, Shard, ShardEntry } from "@trommel/common";
import type { ScoringGeneration } from "@trommel/common/artefacts";
import { EntryTable } from "@trommel/common/codec";
import { range, readAhead } from "@trommel/common/store";
import { writeWithColumns } from "../plan/stream-shards.js";
import type { DeadPlaces } from "./dead-places.js";
import type { Delta } from "./delta.js";
import { readBaseColumns, readBaseShard } from "./known-entries.js";

/** Shards that are read or written at once. */
const shardsAtOnce = 16;

/** What keeping the rows of parts that are out of date came to. */
export interface KeptRows {
  /** Shards that copy such rows; they come after those of the delta. */
  readonly shards: number;
  /** Keys of the earlier entries that are out of date. */
  readonly outOfDate: EntryTable;
}

/**
 * Writes a shard for each part that is out of date in some positions: its other entries, whose rows are copied.
 * @param onShards called with how many are written
 */
export async function keepRows(
  store: ObjectStore,
  generation: ScoringGeneration,
  { delta, dead }: { readonly delta: Delta; readonly dead: DeadPlaces },
  onShards: (shards: number) => Promise<void>,
): Promise<KeptRows> {
  let next = delta.shards;
  const numbers = delta.outOfDate.map(([, positions]) => (positions === null ? undefined : next++));
  const outOfDate = new EntryTable();
  const keep = async (at: number): Promise<readonly ShardEntry[]> => {
    const [part, positions] = delta.outOfDate[at] ?? [0, null];
    const shard = await readBaseShard(store, generation, part);
    const number = numbers[at];
    if (number !== undefined) await writeKept(store, generation, { part, shard, number, positions });
    return outOfDateEntries(shard, positions, dead.get(part));
  };
  let read = 0;
  let written = 0;
  for await (const entries of readAhead(range(0, numbers.length), shardsAtOnce, keep)) {
    for (const { key } of entries) outOfDate.add(key);
    if (numbers[read] !== undefined) await onShards((written += 1));
    read += 1;
  }
  return { shards: written, outOfDate };
}

async function writeKept(
  store: ObjectStore,
  generation: ScoringGeneration,
  of: {
    readonly part: number;
    readonly shard: Shard;
    readonly number: number;
    readonly positions: readonly number[] | null;
  },
): Promise<void> {
  const { part, shard, number } = of;
  const without = new Set(of.positions);
  const positions = [...shard.entries.keys()].filter((position) => !without.has(position));
  const columns = await readBaseColumns(store, generation, part, shard);
  const place = generation.placeOf(part);
  const { keys } = generation;
  await writeWithColumns(
    { store, source: { columns }, shardKey: keys.shard, columnsKey: keys.columns },
    number,
    {
      entries: positions.flatMap((position) => shard.entries[position] ?? []),
      carried: positions.map((position) => columns.map(({ values }) => values[position] ?? null)),
      skipped: [],
      copied: { generation: place.generation, shard: place.index, positions },
    },
  );
}

/**
 * Entries of a part that are out of date, without those that a later part has after a retry.
 * @param positions null for all of them
 */
export function outOfDateEntries(
  { entries }: Shard,
  positions: readonly number[] | null,
  dead: ReadonlySet<number> | undefined,
): readonly ShardEntry[] {
  const all = positions ?? [...entries.keys()];
  return all.flatMap((position) => (dead?.has(position) === true ? [] : (entries[position] ?? [])));
}
