import { findMarker, runKeys, type RunConfig } from "@trommel/common";
import { foldRunsOf, foldUnits, readSplit } from "@trommel/common/artefacts";
import { autoHeadOf } from "@trommel/common/recipe";
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
  const units = foldUnits(head, await readSplit(store, config.id));
  await liveRun.setTotal(attempt, "fold", units.length);
  await producer.addUnits("fold", config.id, attempt, [...units.keys()], await context.costOf("fold"));
}
