import type { ObjectStore, ScoringConfig, Shard } from "@trommel/common";
import {
  findColumns,
  parseShard,
  type ScoringGeneration,
  type ShardColumns,
} from "@trommel/common/artefacts";
import { EntryTable } from "@trommel/common/codec";
import { range, readAhead, readBounds } from "@trommel/common/store";
import type { DeadPlaces } from "./dead-places.js";
import { entryText, type ListedEntry } from "./list-entries.js";

/** Shards whose files are read at once. */
export const shardsReadAtOnce = 16;

/**
 * The entries that a generation begins with, and which of them its listing has met: some 15 bytes for each, and no key.
 */
export class KnownEntries {
  readonly #table: EntryTable;
  /** For each part of the base, the number of its first entry; at last the number of all. */
  readonly #starts: number[] = [];
  #met = new Uint8Array();
  /** Entries that are not dead and were not met. */
  #unmet = 0;

  private constructor(images: number) {
    this.#table = new EntryTable(images);
  }

  /**
   * @param config that of the scoring: only a manifest carries columns, and without one none are looked for
   * @throws TrommelError `not-found` where a shard of an earlier generation is missing
   */
  static async read(
    store: ObjectStore,
    { from }: Pick<ScoringConfig, "from">,
    generation: ScoringGeneration,
    dead: DeadPlaces,
    signal?: AbortSignal,
  ): Promise<KnownEntries> {
    const known = new KnownEntries(generation.baseImages);
    const readEntries = from?.type === "manifest" ? readBaseEntries : readEntriesAlone;
    const read = async (index: number): Promise<{ index: number; entries: readonly ListedEntry[] }> => {
      signal?.throwIfAborted();
      return { index, entries: await readEntries(store, generation, index) };
    };
    const all = range(0, generation.base.length);
    for await (const { index, entries } of readAhead(all, shardsReadAtOnce, read))
      known.#add(entries, dead.get(index));
    known.#starts.push(known.#table.count);
    known.#met = new Uint8Array(Math.ceil(known.#table.count / 8));
    return known;
  }

  /** @returns whether it is known as it is, and was not met before */
  meet(entry: ListedEntry): boolean {
    const number = this.#table.find(entryText(entry));
    if (number === undefined || this.#isMet(number)) return false;
    this.#met[number >> 3] = (this.#met[number >> 3] ?? 0) | (1 << (number & 7));
    this.#unmet -= 1;
    return true;
  }

  /** Entries that no listing has met so far; what was tried again is not among them. */
  get unmet(): number {
    return this.#unmet;
  }

  /** The positions in each part that were not met, for parts that have any. */
  *unmetByPart(): Generator<{
    readonly part: number;
    readonly positions: readonly number[];
    readonly all: boolean;
  }> {
    for (let part = 0; part + 1 < this.#starts.length; part += 1) {
      const [start = 0, end = 0] = [this.#starts[part], this.#starts[part + 1]];
      const positions: number[] = [];
      for (let number = start; number < end; number += 1)
        if (!this.#isMet(number)) positions.push(number - start);
      if (positions.length > 0) yield { part, positions, all: positions.length === end - start };
    }
  }

  #add(entries: readonly ListedEntry[], dead: ReadonlySet<number> | undefined): void {
    this.#starts.push(this.#table.count);
    for (const [position, entry] of entries.entries()) {
      if (dead?.has(position) === true) {
        this.#table.pass();
        continue;
      }
      this.#table.add(entryText(entry));
      this.#unmet += 1;
    }
  }

  #isMet(number: number): boolean {
    return ((this.#met[number >> 3] ?? 0) & (1 << (number & 7))) !== 0;
  }
}

/** A shard that a generation begins with, as its file is. */
export async function readBaseShard(
  store: ObjectStore,
  generation: ScoringGeneration,
  index: number,
): Promise<Shard> {
  const key = generation.shardKey(index);
  return parseShard(await store.get(key, readBounds.dataset), key);
}

/** The entries of a shard that a generation begins with, and their carried columns. */
export async function readBaseEntries(
  store: ObjectStore,
  generation: ScoringGeneration,
  index: number,
): Promise<ListedEntry[]> {
  const shard = await readBaseShard(store, generation, index);
  const columns = await readBaseColumns(store, generation, index, shard);
  return shard.entries.map((entry, position) => ({
    entry,
    carried: columns.map(({ values }) => values[position] ?? null),
  }));
}

/** The same of a shard whose source carries nothing. */
async function readEntriesAlone(
  store: ObjectStore,
  generation: ScoringGeneration,
  index: number,
): Promise<ListedEntry[]> {
  const { entries } = await readBaseShard(store, generation, index);
  return entries.map((entry) => ({ entry, carried: [] }));
}

/** The carried columns of a shard that a generation begins with. */
export async function readBaseColumns(
  store: ObjectStore,
  generation: ScoringGeneration,
  index: number,
  shard: Shard,
): Promise<ShardColumns["columns"]> {
  return (await findColumns(store, generation.columnsKey(index), shard)) ?? [];
}
