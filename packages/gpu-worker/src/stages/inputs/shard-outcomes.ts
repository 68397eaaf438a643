import type { ObjectStore, Shard } from "@trommel/common";
import { outcomeMarker, RetriedImages, type ShardSpan } from "@trommel/common/artefacts";
import { readInputMarker, type Marker } from "@trommel/common/codec";
import { range, readAhead } from "@trommel/common/store";
import type { z } from "zod";
import { readShard } from "./listing.js";

/** Shards whose small files are read at once when all of them are added up. */
const shardsReadAtOnce = 16;

/** The shards of a listing, and the artefacts whose markers say what became of each. */
export interface ShardOutcomes {
  readonly store: ObjectStore;
  readonly shardKey: (index: number) => string;
  readonly outcomeOf: (shard: Shard) => { readonly store: ObjectStore; readonly key: string };
  readonly signal: AbortSignal;
}

/** Every shard from `start` to before `end` with the marker of its outcome, in order. */
export async function* readOutcomes<Outcome extends Marker>(
  { store, shardKey, outcomeOf, signal }: ShardOutcomes,
  { start, end }: { readonly start: number; readonly end: number },
  schema: z.ZodType<Outcome>,
): AsyncGenerator<{ readonly shard: Shard; readonly marker: Outcome }> {
  yield* readAhead(range(start, end), shardsReadAtOnce, async (index) => {
    signal.throwIfAborted();
    const shard = await readShard(store, shardKey(index));
    const outcome = outcomeOf(shard);
    return { shard, marker: await readInputMarker(outcome.store, outcome.key, schema) };
  });
}

/** Every shard up to before `end`, in order. */
export async function* readShards(
  { store, shardKey, signal }: Pick<ShardOutcomes, "store" | "shardKey" | "signal">,
  end: number,
): AsyncGenerator<Shard> {
  yield* readAhead(range(0, end), shardsReadAtOnce, (index) => {
    signal.throwIfAborted();
    return readShard(store, shardKey(index));
  });
}

/** What later shards try again, from those shards and the markers of their outcomes. */
export async function readRetriedImages(outcomes: ShardOutcomes, span: ShardSpan): Promise<RetriedImages> {
  const retried = new RetriedImages();
  const retries = { start: span.retriedFrom, end: span.shards };
  for await (const { shard, marker } of readOutcomes(outcomes, retries, outcomeMarker)) {
    retried.add(shard, marker.failed);
  }
  return retried;
}
