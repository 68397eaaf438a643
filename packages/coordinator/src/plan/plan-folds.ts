import { runKeys, type RunConfig } from "@trommel/common";
import { foldRunsOf, foldSplit, foldUnits } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { autoHeadOf } from "@trommel/common/recipe";
import { readBounds } from "@trommel/common/store";
import { awaitRun, hasBundle } from "./await-run.js";
import type { PlanContext } from "./plan-context.js";

/**
 * Plans the folds of a run with `head: auto`.
 *
 * In: the split, which says how many folds and divisions there are. Out: a job for each candidate, division and fold, children of the
 * waiting choose job. A retry queues again what may already be queued; jobs that find their marker end at once. A run whose folds have networks of their
 * own has no such job: it waits for the runs that tune them, without a place in the queue.
 * @throws PlanLater until they are complete; TrommelError that of one that has failed
 */
export async function planFolds(config: RunConfig, context: PlanContext): Promise<void> {
  const { attempt, store, producer, liveRun } = context;
  const foldRuns = foldRunsOf(config);
  if (foldRuns.length > 0) {
    await awaitFoldRuns(config, foldRuns, context);
    return;
  }
  const head = autoHeadOf(config);
  const key = runKeys(config.id).split;
  const split = parseSealedAs(foldSplit, await store.get(key, readBounds.dataset), key);
  const units = foldUnits(head, split);
  await liveRun.setTotal(attempt, "fold", units.length);
  await producer.addUnits("fold", config.id, attempt, [...units.keys()], await context.costOf("fold"));
}

async function awaitFoldRuns(
  config: RunConfig,
  foldRuns: readonly string[],
  context: PlanContext,
): Promise<void> {
  const { attempt, liveRun } = context;
  await liveRun.setTotal(attempt, "fold", foldRuns.length);
  const open: (readonly [fold: number, id: string])[] = [];
  for (const [fold, id] of foldRuns.entries())
    if (await hasBundle(id, context)) await liveRun.countDone(attempt, "fold", fold);
    else open.push([fold, id]);
  for (const [fold, id] of open) {
    await awaitRun(id, { config, stage: "fold", context });
    await liveRun.countDone(attempt, "fold", fold);
  }
  await liveRun.setNote(attempt, "fold", "");
}
