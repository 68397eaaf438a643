import { findMarker, runKeys, type RunConfig } from "@trommel/common";
import { shardsPerBulk } from "../run-control/job-producer.js";
import type { PlanContext } from "./plan-context.js";
import { listDataset } from "./plan-run.js";
import { feedShards, numbersFrom } from "./shard-feeder.js";

/**
 * Plans the measuring of a dataset's pixels, before the plan of a run that is normalised by them.
 *
 * In: the labelled prefix. Out: what {@link listDataset} writes, and a measure job per shard, children of the waiting
 * normalize job. A retry continues as planRun does; where the figures stand already, there is nothing to plan.
 */
export async function planMeasure(config: RunConfig, context: PlanContext): Promise<void> {
  const { attempt, store, producer, board } = context;
  const { id } = config;
  const keys = runKeys(id);
  if ((await findMarker(store, keys.normalization)) !== undefined) return;
  const feed = feedShards(context, {
    id,
    stage: "measure",
    cancelledKey: keys.cancelled,
    unit: Math.min(shardsPerBulk, context.outstandingAtMost),
    firstAlone: true,
    announce: ({ shards, images }) => board.setTotal(attempt, "measure", shards, images),
    add: (start, end) => producer.addMeasureShards(id, attempt, numbersFrom(start, end)),
  });
  await listDataset(config, context, (_, soFar) => feed.listed(soFar));
  await feed.finish();
}
