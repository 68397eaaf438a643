import { runKeys, type RunConfig } from "@trommel/common";
import { foldSplit, foldUnits } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { autoHeadOf } from "@trommel/common/recipe";
import { readBounds } from "@trommel/common/store";
import type { PlanContext } from "./plan-context.js";

/**
 * Plans the folds of a run with `head: auto`.
 *
 * In: the split, which says how many folds there are. Out: a job for each candidate and fold, children of the waiting choose
 * job. A retry queues again what may already be queued; jobs that find their marker end at once.
 */
export async function planFolds(config: RunConfig, context: PlanContext): Promise<void> {
  const { attempt, store, producer, liveRun } = context;
  const head = autoHeadOf(config);
  const key = runKeys(config.id).split;
  const { folds } = parseSealedAs(foldSplit, await store.get(key, readBounds.dataset), key);
  const units = foldUnits(head, folds);
  await liveRun.setTotal(attempt, "fold", units.length);
  await producer.addUnits("fold", config.id, attempt, [...units.keys()]);
}
