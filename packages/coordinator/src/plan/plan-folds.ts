import { findMarker, runKeys, type RunConfig } from "@trommel/common";
import { foldRunsOf, foldSplit, foldUnits } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { autoHeadOf } from "@trommel/common/recipe";
import { readBounds } from "@trommel/common/store";
import { awaitFoldRuns } from "./await-run.js";
import type { PlanContext } from "./plan-context.js";

/**
 * Plans the folds of a run with `head: auto`.
 *
 * In: the split, which says how many folds and divisions there are. Out: a job for each candidate, division and fold, children of the
 * waiting choose job. A retry queues again what may already be queued; jobs that find their marker end at once. A run whose folds have networks of their
 * own has no such job: it waits for the runs that tune them, without a place in the queue, unless its heads are chosen: they may be gone then.
 * @throws PlanLater until they are complete; TrommelError that of one that has failed
 */
export async function planFolds(config: RunConfig, context: PlanContext): Promise<void> {
  const { attempt, store, producer, liveRun } = context;
  const foldRuns = foldRunsOf(config);
  if (foldRuns.length > 0) {
    if ((await findMarker(store, runKeys(config.id).choice)) === undefined)
      await awaitFoldRuns(foldRuns, { config, stage: "fold", context });
    return;
  }
  const head = autoHeadOf(config);
  const key = runKeys(config.id).split;
  const split = parseSealedAs(foldSplit, await store.get(key, readBounds.dataset), key);
  const units = foldUnits(head, split);
  await liveRun.setTotal(attempt, "fold", units.length);
  await producer.addUnits("fold", config.id, attempt, [...units.keys()], await context.costOf("fold"));
}
