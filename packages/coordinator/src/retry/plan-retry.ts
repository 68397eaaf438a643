import { listingSummary, scoringKeys, type ScoringConfig } from "@trommel/common";
import { parseSealedAs, putJson, sealedJson } from "@trommel/common/codec";
import type { ScoringGeneration, ScoringRetry } from "@trommel/common/artefacts";
import { readBounds } from "@trommel/common/store";
import { ShardOutcomes } from "./shard-outcomes.js";
import type { PlanContext } from "../plan/plan-context.js";
import { feedSingleShards } from "../plan/feed/shard-feeder.js";
import { streamRetryShards } from "./stream-retry-shards.js";

/**
 * Plans the last retry of a scoring.
 *
 * In: its request, and the markers of every part before it. Out: shard files, the carried columns of each, `retries/<n>-listing.json`,
 * and a score job per shard, children of the waiting close job. The shards before them are scored and are not queued again.
 * A retry of this plan continues after the shard files that exist.
 */
export async function planScoringRetry(
  config: ScoringConfig,
  generation: ScoringGeneration,
  { request }: ScoringRetry,
  context: PlanContext,
): Promise<void> {
  const { store } = context;
  const { keys } = generation;
  const {
    shards: base,
    listed,
    generation: found,
  } = parseSealedAs(listingSummary, await store.get(keys.listing, readBounds.document), keys.listing);
  const totals = { shards: 0, images: 0 };
  const feed = feedSingleShards(context, {
    id: config.id,
    stage: "score",
    cancelledKey: scoringKeys(config.id).cancelled,
    first: request.firstShard,
  });
  const outcomes = await ShardOutcomes.open(store, { kind: "scoring", id: config.id, config });
  try {
    for await (const shard of streamRetryShards({
      outcomes,
      span: { retriedFrom: base, shards: request.firstShard, listed, found },
      reasons: request.reasons,
      store,
      shardKey: (index) => generation.shardKey(index),
      shardSize: config.shardSize,
      carried:
        config.from?.type === "manifest"
          ? { columns: config.from.columns, keyOf: (index) => generation.columnsKey(index) }
          : undefined,
      config,
      signal: context.signal,
    })) {
      totals.shards += 1;
      totals.images += shard.entries.length;
      await feed.listed(totals);
    }
  } finally {
    outcomes.close();
  }
  const body = sealedJson({ formatVersion: 1, ...totals });
  await putJson(store, keys.retryListing(request.index), body);
  await feed.finish();
}
