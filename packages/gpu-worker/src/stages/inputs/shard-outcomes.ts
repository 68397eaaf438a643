import type { ObjectStore, Shard } from "@trommel/common";
import { outcomeMarker, RetriedImages, type ShardSpan } from "@trommel/common/artefacts";
import { readInputMarker, type Marker } from "@trommel/common/codec";
import { range, readAhead } from "@trommel/common/store";
import type { z } from "zod";

/** Shards whose small files are read at once when all of them are added up. */
const shardsReadAtOnce = 16;

/** The shards of a listing, and the artefacts whose markers say what became of each. */
export interface ShardOutcomes {
  readonly readShard: (index: number) => Promise<Shard>;
  readonly outcomeOf: (shard: Shard) => { readonly store: ObjectStore; readonly key: string };
  readonly signal: AbortSignal;
}

/** Those shards with the marker of their outcome, in order. @param indices their numbers, ascending */
export async function* readOutcomes<Outcome extends Marker>(
  { readShard, outcomeOf, signal }: ShardOutcomes,
  indices: Iterable<number>,
  schema: z.ZodType<Outcome>,
): AsyncGenerator<{ readonly shard: Shard; readonly marker: Outcome }> {
  yield* readAhead(indices, shardsReadAtOnce, async (index) => {
    signal.throwIfAborted();
    const shard = await readShard(index);
    const outcome = outcomeOf(shard);
    return { shard, marker: await readInputMarker(outcome.store, outcome.key, schema) };
  });
}

/** Those shards, in order. */
export async function* readShards(
  { readShard, signal }: Pick<ShardOutcomes, "readShard" | "signal">,
  indices: Iterable<number>,
): AsyncGenerator<Shard> {
  yield* readAhead(indices, shardsReadAtOnce, (index) => {
    signal.throwIfAborted();
    return readShard(index);
  });
}

/** What later shards try again, from those shards and the markers of their outcomes. */
export async function readRetriedImages(outcomes: ShardOutcomes, span: ShardSpan): Promise<RetriedImages> {
  const retried = new RetriedImages();
  const retries = range(span.retriedFrom, span.shards);
  for await (const { shard, marker } of readOutcomes(outcomes, retries, outcomeMarker)) {
    retried.add(shard, marker.failed);
  }
  return retried;
}
