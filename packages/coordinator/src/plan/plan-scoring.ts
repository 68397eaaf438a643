import {
  canonicalJson,
  openStore,
  scoringKeys,
  TrommelError,
  type ListingSummary,
  type ScoringConfig,
} from "@trommel/common";
import { shardsPerBulk } from "../run-control/job-producer.js";
import type { PlanContext } from "./plan-context.js";
import { feedShards, numbersFrom } from "./shard-feeder.js";
import { readListing, skipHidden, streamShards } from "./stream-shards.js";

/**
 * Plans a scoring.
 *
 * In: the prefix. Out: shard files, `listing.json`, and a score job per shard, children of the waiting close job.
 * The first goes out alone, so that scoring starts with the first page of the listing. A retry continues as planRun does.
 */
export async function planScoring(config: ScoringConfig, context: PlanContext): Promise<ListingSummary> {
  const { attempt, store, producer, board } = context;
  const keys = scoringKeys(config.id);
  const source = openStore(config.source, { onNotice: context.onNotice });
  const totals = { shards: 0, images: 0, skipped: 0, sizeBytes: 0 };
  const feed = feedShards(context, {
    id: config.id,
    stage: "score",
    cancelledKey: keys.cancelled,
    unit: Math.min(shardsPerBulk, context.outstandingAtMost),
    firstAlone: true,
    announce: ({ shards, images }) => board.setTotal(attempt, "score", shards, images),
    add: (start, end) => producer.addScoreShards(config.id, attempt, numbersFrom(start, end)),
  });
  const complete = (await readListing(store, keys.listing))?.shards;
  try {
    for await (const shard of streamShards({
      source,
      store,
      complete,
      signal: context.signal,
      shardKey: keys.shard,
      shardSize: config.shardSize,
      skip: skipHidden,
    })) {
      totals.shards += 1;
      totals.images += shard.entries.length;
      totals.skipped += shard.skipped.length;
      for (const entry of shard.entries) totals.sizeBytes += entry.sizeBytes;
      await feed.listed(totals);
    }
  } finally {
    source.close();
  }
  if (totals.images === 0) {
    throw new TrommelError(
      "bad-dataset",
      `failed to list ${config.source}: it holds nothing to score. Check the prefix`,
      { context: { source: config.source } },
    );
  }
  const summary: ListingSummary = { formatVersion: 1, listed: totals.images + totals.skipped, ...totals };
  await store.put(keys.listing, Buffer.from(canonicalJson(summary), "utf8"), {
    contentType: "application/json",
  });
  await feed.finish();
  return summary;
}
