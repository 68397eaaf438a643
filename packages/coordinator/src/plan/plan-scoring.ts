import { scoringKeys, TrommelError, type ScoringConfig } from "@trommel/common";
import { findListing, readGeneration, readRetries } from "@trommel/common/artefacts";
import { planGeneration } from "../generations/plan-generation.js";
import { isRescoring, keepSample, rescoredSource } from "../generations/rescored-source.js";
import type { PlanContext } from "./plan-context.js";
import { planScoringRetry } from "../retry/plan-retry.js";
import { feedSingleShards } from "./feed/shard-feeder.js";
import { KeyFilter } from "../listing/key-filter.js";
import { countLeftOut, ListingTotals } from "../listing/listing-totals.js";
import { planFeatureScoring } from "./plan-feature-scoring.js";
import { chooseSample } from "./choose-sample.js";
import { keysOnly } from "../sources/image-source.js";
import { openSource, placeOf } from "../sources/open-source.js";
import { streamShards, writeListing } from "./stream-shards.js";

/**
 * Plans a scoring.
 *
 * In: the source, or the images of the scoring that it rescores. Out: shard files, the carried columns of each, `listing.json`, and a score job per shard, children of the waiting close job.
 * The first is queued alone, so that scoring starts with the first page of the listing. A retry continues like planRun.
 * If the failed files of a scoring are retried, only those are planned; a later generation has a plan of its own.
 */
export async function planScoring(config: ScoringConfig, context: PlanContext): Promise<void> {
  const { store } = context;
  const keys = scoringKeys(config.id);
  const generation = await readGeneration(store, config.id);
  const retry = (await readRetries(store, generation)).at(-1);
  if (retry !== undefined) return planScoringRetry(config, generation, retry, context);
  if (generation.number > 0) return planGeneration(config, generation, context);
  if (config.featuresOf !== undefined)
    return planFeatureScoring({ ...config, featuresOf: config.featuresOf }, context);
  const source = openSource(placeOf(config), context.openSource, { onNotice: context.onNotice });
  const isRescored = isRescoring(config);
  if (isRescored) await keepSample(store, config);
  const listed = isRescored ? rescoredSource(store, config, context.signal) : source;
  const filter = new KeyFilter(config);
  const totals = new ListingTotals(filter);
  const feed = feedSingleShards(context, {
    id: config.id,
    stage: "score",
    cancelledKey: keys.cancelled,
  });
  const complete = (await findListing(store, keys.listing))?.shards;
  try {
    const sample = await chooseSample(config, {
      ...{ store, source: keysOnly(source), signal: context.signal },
      skip: (key) => filter.skip(key),
    });
    for await (const shard of streamShards({
      source: listed,
      store,
      complete,
      signal: context.signal,
      shardKey: keys.shard,
      columnsKey: keys.columns,
      shardSize: config.shardSize,
      imagesAtMost: config.limit,
      skip: (key) => filter.skip(key) ?? sample.skip(key),
    })) {
      totals.shards += 1;
      totals.add(shard);
      await feed.listed(totals);
    }
  } finally {
    source.close();
  }
  const summary = totals.summary();
  if (totals.images === 0) {
    const leftOut = countLeftOut(summary);
    const why = leftOut === 0 ? "" : `, for --include and --exclude left ${leftOut} objects out`;
    throw new TrommelError(
      "bad-dataset",
      `cannot list ${config.source}: it holds nothing to score${why}. Check the prefix`,
      { context: { source: config.source } },
    );
  }
  await writeListing(store, keys.listing, summary);
  await feed.finish();
}
