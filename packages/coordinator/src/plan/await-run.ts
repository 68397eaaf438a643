import {
  bundleFiles,
  runKeys,
  stopReasonToThrow,
  TrommelError,
  type RunConfig,
  type Stage,
} from "@trommel/common";
import { readStopReason } from "@trommel/common/artefacts";
import { readStatus } from "../run-control/status.js";
import { findSubject } from "../run-control/subject.js";
import type { PlanContext } from "./plan-context.js";
import { PlanLater } from "./plan-later.js";

/** How soon a plan looks again for a run that it waits for. */
const runDelayMs = 1000;

/**
 * Returns once a run that another one needs is complete.
 * @param stage of the other run, which shows how far this one is
 * @throws PlanLater while it is under way; TrommelError its own if it has failed
 */
export async function awaitRun(
  needed: string,
  {
    config,
    stage,
    context,
  }: { readonly config: RunConfig; readonly stage: Stage; readonly context: PlanContext },
): Promise<void> {
  const { store, producer, liveRun, attempt } = context;
  if (await hasBundle(needed, context)) return;
  const { phase, error, stages } = await readStatus(store, await findSubject(store, needed), producer);
  if (phase === "complete") return;
  if (phase === "running") {
    const under = stages.filter(({ total }) => total > 0).at(-1);
    const place = under === undefined ? "is being listed" : `${under.stage} ${under.done}/${under.total}`;
    await liveRun.setNote(attempt, stage, `${needed}: ${place}`);
    throw new PlanLater(runDelayMs);
  }
  if (phase === "failed" && error !== undefined) throw stopReasonToThrow(error);
  throw new TrommelError(
    "cancelled",
    `cannot continue ${config.id}: ${needed}, which it needs, is ${phase}. 'trommel resume ${config.id}' continues both`,
  );
}

/** Whether it is complete, if its files are as they were written. */
export async function hasBundle(id: string, { store }: PlanContext): Promise<boolean> {
  return (await store.head(`${runKeys(id).bundle}/${bundleFiles.manifest}`)) !== undefined;
}

/** @throws TrommelError that of the first of these runs that has failed */
export async function refuseFailed(runs: readonly string[], { store }: PlanContext): Promise<void> {
  for (const id of runs) {
    const error = await readStopReason(store, { kind: "run", id });
    if (error !== undefined) throw stopReasonToThrow(error);
  }
}
