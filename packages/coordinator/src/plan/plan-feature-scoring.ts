import { runKeys, scoringKeys, TrommelError, type ScoringConfig } from "@trommel/common";
import { findListing } from "@trommel/common/artefacts";
import { KeyFilter } from "../listing/key-filter.js";
import { ListingTotals } from "../listing/listing-totals.js";
import { copyShards } from "../retry/stream-run-retry.js";
import { feedSingleShards } from "./feed/shard-feeder.js";
import type { PlanContext } from "./plan-context.js";
import { writeListing } from "./stream-shards.js";

/**
 * Plans a scoring of stored features.
 *
 * In: the shards of the run that stored them. Out: the same shards under the scoring, byte for byte, so that their hashes find the
 * features, and a score job for each. A retry does the same again.
 */
export async function planFeatureScoring(
  config: ScoringConfig & { readonly featuresOf: NonNullable<ScoringConfig["featuresOf"]> },
  context: PlanContext,
): Promise<void> {
  const { store } = context;
  const { run } = config.featuresOf;
  const keys = scoringKeys(config.id);
  const listing = await findListing(store, runKeys(run).listing);
  if (listing === undefined) {
    throw new TrommelError(
      "missing-input",
      `cannot plan ${config.id}: ${run}, whose features it scores, is no longer listed in the store. Score the pictures into another --output`,
      { context: { run } },
    );
  }
  const totals = new ListingTotals(new KeyFilter());
  const feed = feedSingleShards(context, { id: config.id, stage: "score", cancelledKey: keys.cancelled });
  for await (const shard of copyShards(config.id, { run, shards: listing.shards }, keys.shard, context)) {
    totals.shards += 1;
    totals.add(shard);
    await feed.listed(totals);
  }
  await writeListing(store, keys.listing, totals.summary());
  await feed.finish();
}
