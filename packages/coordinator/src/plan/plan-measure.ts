import { findMarker, runKeys, TrommelError, type RunConfig } from "@trommel/common";
import { shardsPerBulk } from "../run-control/job-producer.js";
import type { PlanContext } from "./plan-context.js";
import { listDataset, type ListedSoFar } from "./plan-run.js";

/**
 * Plans the measuring of a dataset's pixels, before the plan of a run that is normalised by them.
 *
 * In: the labelled prefix. Out: what {@link listDataset} writes, and a measure job per shard, children of the waiting
 * normalize job. A retry continues as planRun does; where the figures stand already, there is nothing to plan.
 */
export async function planMeasure(config: RunConfig, context: PlanContext): Promise<void> {
  const { attempt, store, producer, board } = context;
  if ((await findMarker(store, runKeys(config.id).normalization)) !== undefined) return;
  let waiting: number[] = [];
  const flush = async ({ shards, images }: ListedSoFar): Promise<void> => {
    if (await board.isOver(attempt))
      throw new TrommelError("cancelled", `failed to plan ${config.id}: it is over`);
    await board.setTotal(attempt, "measure", shards, images);
    await producer.addMeasureShards(config.id, attempt, waiting);
    waiting = [];
  };
  const summary = await listDataset(config, context, async (shard, soFar) => {
    waiting.push(shard.index);
    if (soFar.shards === 1 || waiting.length === shardsPerBulk) await flush(soFar);
  });
  if (waiting.length > 0) await flush(summary);
}
