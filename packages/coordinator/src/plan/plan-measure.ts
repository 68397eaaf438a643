import { findMarker, runKeys, type RunConfig } from "@trommel/common";
import type { PlanContext } from "./plan-context.js";
import { listDataset } from "./plan-run.js";
import { feedSingleShards } from "./feed/shard-feeder.js";

/**
 * Plans the measuring of a dataset's pixels, before the plan of a run that is normalised by them.
 *
 * In: the labelled prefix. Out: what {@link listDataset} writes, and a measure job per shard, children of the waiting
 * normalize job. A retry continues like planRun; if the statistics exist already, there is nothing to plan.
 */
export async function planMeasure(config: RunConfig, context: PlanContext): Promise<void> {
  const { store } = context;
  const { id } = config;
  const keys = runKeys(id);
  if ((await findMarker(store, keys.normalization)) !== undefined) return;
  const feed = feedSingleShards(context, {
    id,
    stage: "measure",
    cancelledKey: keys.cancelled,
  });
  await listDataset(config, context, (_, soFar) => feed.listed(soFar));
  await feed.finish();
}
