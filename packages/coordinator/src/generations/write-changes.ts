import { TrommelError, type ObjectStore } from "@trommel/common";
import { findShard, type ScoringGeneration } from "@trommel/common/artefacts";
import { EntryTable } from "@trommel/common/codec";
import { range, readAhead } from "@trommel/common/store";
import type { DeadPlaces } from "./dead-places.js";
import type { Delta } from "./delta.js";
import { outOfDateEntries, type KeptRows } from "./keep-rows.js";
import { readBaseShard } from "./known-entries.js";

const shardsReadAtOnce = 16;

export interface ChangeCounts {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}

/**
 * Writes `changes.jsonl`: each key that is new or changed, in the order of the listing, and then each one that is gone, in the order of
 * the parts that had it. Each is written whole or not at all.
 */
export async function writeChanges(
  store: ObjectStore,
  output: ObjectStore,
  generation: ScoringGeneration,
  of: { readonly delta: Delta; readonly dead: DeadPlaces; readonly kept: KeptRows },
): Promise<ChangeCounts> {
  const counts = { added: 0, changed: 0, removed: 0 };
  const changes = linesOf(store, generation, of, counts);
  await output.putStream(generation.output.changes, changes, { contentType: "application/jsonl" });
  return counts;
}

async function* linesOf(
  store: ObjectStore,
  generation: ScoringGeneration,
  { delta, dead, kept }: { readonly delta: Delta; readonly dead: DeadPlaces; readonly kept: KeptRows },
  counts: { added: number; changed: number; removed: number },
): AsyncGenerator<Uint8Array> {
  const listed = new EntryTable(delta.images);
  const lines = (keys: readonly string[], change: (key: string) => keyof ChangeCounts): Uint8Array =>
    Buffer.from(
      keys
        .map((key) => {
          const found = change(key);
          counts[found] += 1;
          return `${JSON.stringify({ key, change: found })}\n`;
        })
        .join(""),
    );
  const readOwn = (index: number) => findShard(store, generation.keys.shard(index));
  for await (const shard of readAhead(range(0, delta.shards), shardsReadAtOnce, readOwn)) {
    if (shard === undefined)
      throw new TrommelError(
        "missing-input",
        `cannot list the changes of ${generation.scoring}: a shard is gone`,
      );
    const keys = shard.entries.map(({ key }) => key);
    for (const key of keys) listed.add(key);
    yield lines(keys, (key) => (kept.outOfDate.find(key) === undefined ? "added" : "changed"));
  }
  const readGone = async (at: number): Promise<string[]> => {
    const [part, positions] = delta.outOfDate[at] ?? [0, null];
    const shard = await readBaseShard(store, generation, part);
    return outOfDateEntries(shard, positions, dead.get(part)).map(({ key }) => key);
  };
  for await (const keys of readAhead(range(0, delta.outOfDate.length), shardsReadAtOnce, readGone)) {
    yield lines(
      keys.filter((key) => listed.find(key) === undefined),
      () => "removed",
    );
  }
}
