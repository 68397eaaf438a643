import {
  openStore,
  scoringKeys,
  TrommelError,
  type ListingSummary,
  type ScoringConfig,
} from "@trommel/common";
import { findListing, readEarlierGeneration, type ScoringGeneration } from "@trommel/common/artefacts";
import { feedSingleShards } from "../plan/feed/shard-feeder.js";
import type { PlanContext } from "../plan/plan-context.js";
import { writeListing } from "../plan/stream-shards.js";
import { readDeadPlaces } from "./dead-places.js";
import { findDelta, type Delta } from "./delta.js";
import { keepRows } from "./keep-rows.js";
import { listDelta } from "./list-delta.js";
import { writeChanges, type ChangeCounts } from "./write-changes.js";

/**
 * Plans a later generation of a scoring.
 *
 * In: the source, and the shards of the generation before. Out: shard files of what is new or changed and of what is copied from parts that
 * are written again; `delta.json`, `changes.jsonl` under the output, `listing.json`; and a score job per shard file, children of the waiting
 * close job. Jobs are queued as the shards are found.
 * A retry finds the shard files, and `delta.json` if the source was listed.
 */
export async function planGeneration(
  config: ScoringConfig,
  generation: ScoringGeneration,
  context: PlanContext,
): Promise<void> {
  const { store } = context;
  const { keys, base } = generation;
  const feed = feedSingleShards(context, {
    id: config.id,
    stage: "score",
    cancelledKey: scoringKeys(config.id).cancelled,
    first: base.length,
  });
  const planned = await findListing(store, keys.listing);
  if (planned !== undefined) {
    const { added = 0, changed = 0 } = planned.generation ?? {};
    await feed.listed({ shards: planned.shards - base.length, images: added + changed });
    return feed.finish();
  }
  const dead = await readDeadPlaces(store, await readEarlierGeneration(store, generation), base);
  const delta =
    (await findDelta(store, generation.deltaKey)) ??
    (await listDelta(config, generation, context, { dead, onShard: (soFar) => feed.listed(soFar) }));
  if (delta.listed.images === 0)
    throw new TrommelError(
      "bad-dataset",
      `cannot list ${config.source}: it holds nothing to score any more. Check the prefix`,
      { context: { source: config.source } },
    );
  await feed.listed({ shards: delta.shards, images: delta.images });
  const kept = await keepRows(store, generation, { delta, dead }, (shards) =>
    feed.listed({ shards: delta.shards + shards, images: delta.images }),
  );
  const output = openStore(config.output);
  try {
    const counts = await writeChanges(store, output, generation, { delta, dead, kept });
    await writeListing(store, keys.listing, summaryOf(generation, delta, kept.shards, counts));
  } finally {
    output.close();
  }
  await feed.finish();
}

function summaryOf(
  { base }: ScoringGeneration,
  delta: Delta,
  copies: number,
  counts: ChangeCounts,
): ListingSummary {
  const { skippedByReason, skippedKeys, excluded, withoutEffect, listed } = delta;
  const skipped = Object.values(skippedByReason).reduce((sum, objects) => sum + objects, 0);
  const { "not-included": notIncluded = 0, "not-sampled": notSampled } = skippedByReason;
  const leftOut = { excluded, notIncluded, ...(notSampled === undefined ? {} : { notSampled }) };
  return {
    formatVersion: 1,
    shards: base.length + delta.shards + copies,
    listed: listed.images + skipped,
    ...{ images: listed.images, skipped, sizeBytes: listed.sizeBytes },
    ...(withoutEffect === null && notSampled === undefined ? {} : { leftOut }),
    ...(withoutEffect === null ? {} : { withoutEffect }),
    generation: {
      ...counts,
      superseded: runsOf(delta.outOfDate.map(([part]) => part)),
      ...{ skippedByReason, skippedKeys, excludedByPattern: excluded },
    },
  };
}

/** Ascending numbers as the first and the last of each run. */
function runsOf(numbers: readonly number[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const open = runs.at(-1);
    if (open !== undefined && open[1] + 1 === number) open[1] = number;
    else runs.push([number, number]);
  }
  return runs;
}
