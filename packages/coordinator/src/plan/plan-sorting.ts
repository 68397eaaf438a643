import { PartList, sortingKeys, type SortingConfig } from "@trommel/common/artefacts";
import { feedSingleShards } from "./feed/shard-feeder.js";
import type { PlanContext } from "./plan-context.js";

/**
 * Plans a sorting.
 *
 * In: its score parts, which its configuration names. Out: a sort job per part, children of the waiting close-sort job. A retry queues
 * again what may already be queued; jobs that find their part sorted end at once.
 */
export async function planSorting(config: SortingConfig, context: PlanContext): Promise<void> {
  const { id, images } = config;
  const feed = feedSingleShards(context, { id, stage: "sort", cancelledKey: sortingKeys(id).cancelled });
  await feed.listed({ shards: new PartList(config.parts).length, images });
  await feed.finish();
}
