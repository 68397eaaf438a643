import type { ObjectStore } from "@trommel/common";
import {
  findShard,
  readScoringSpan,
  type ScoringGeneration,
  type PartPlace,
} from "@trommel/common/artefacts";
import { range, readAhead } from "@trommel/common/store";

const shardsReadAtOnce = 16;

/**
 * Failed images that the generation before tried again, by the place of their part among those that the generation begins with: a later
 * part has their entries, so that here they count no more.
 */
export type DeadPlaces = ReadonlyMap<number, ReadonlySet<number>>;

/** @throws TrommelError `missing-input` if the generation before is not complete */
export async function readDeadPlaces(
  store: ObjectStore,
  before: ScoringGeneration,
  base: ScoringGeneration["base"],
): Promise<DeadPlaces> {
  const span = await readScoringSpan(store, before);
  const dead = new Map<string, Set<number>>();
  for await (const shard of readAhead(range(span.retriedFrom, span.shards), shardsReadAtOnce, (index) =>
    findShard(store, before.shardKey(index)),
  )) {
    for (const { shard: index, position } of shard?.supersedes?.rows ?? []) {
      const name = nameOf(before.placeOf(index));
      const positions = dead.get(name) ?? new Set<number>();
      dead.set(name, positions.add(position));
    }
  }
  const byPlace = new Map<number, ReadonlySet<number>>();
  if (dead.size === 0) return byPlace;
  for (let place = 0; place < base.length; place += 1) {
    const positions = dead.get(nameOf(base.at(place)));
    if (positions !== undefined) byPlace.set(place, positions);
  }
  return byPlace;
}

function nameOf({ generation, index }: PartPlace): string {
  return `${generation}/${index}`;
}
