import {
  bundleFiles,
  runKeys,
  stopReasonToThrow,
  TrommelError,
  type RunConfig,
  type Stage,
} from "@trommel/common";
import { readStopReason } from "@trommel/common/artefacts";
import { readStatus, type RunStatus } from "../run-control/status.js";
import { findSubject } from "../run-control/subject.js";
import type { PlanContext } from "./plan-context.js";
import { PlanLater } from "./plan-later.js";

/** How soon a plan looks again for a run that it waits for. */
const runDelayMs = 1000;

/** Who waits, and in which of its stages. */
interface Waiting {
  readonly config: RunConfig;
  /** It shows how far the other run is. */
  readonly stage: Stage;
  readonly context: PlanContext;
}

/**
 * Returns once a run that another one needs is complete.
 * @throws PlanLater while it is under way; TrommelError its own if it has failed
 */
export async function awaitRun(needed: string, waiting: Waiting): Promise<void> {
  const { config, context } = waiting;
  if (await hasBundle(needed, context)) return;
  const { phase, error } = await awaitEnd(needed, waiting);
  if (phase === "complete") return;
  if (phase === "failed" && error !== undefined) throw stopReasonToThrow(error);
  throw new TrommelError(
    "cancelled",
    `cannot continue ${config.id}: ${needed}, which it needs, is ${phase}. 'trommel resume ${config.id}' continues both`,
  );
}

/** Returns once a run is under way no longer, however it ended. @throws PlanLater before that */
export async function awaitEnd(
  run: string,
  { stage, context }: Waiting,
): Promise<Pick<RunStatus, "phase" | "error">> {
  const { store, producer, liveRun, attempt } = context;
  const status = await readStatus(store, await findSubject(store, run), producer);
  if (status.phase !== "running") return status;
  const under = status.stages.filter(({ total }) => total > 0).at(-1);
  const place = under === undefined ? "is being listed" : `${under.stage} ${under.done}/${under.total}`;
  await liveRun.setNote(attempt, stage, `${run}: ${place}`);
  throw new PlanLater(runDelayMs);
}

/**
 * Returns once the runs that tune a network for each fold are complete, and shows how many are.
 * @throws PlanLater while one is under way; TrommelError its own if one has failed
 */
export async function awaitFoldRuns(foldRuns: readonly string[], waiting: Waiting): Promise<void> {
  const { stage, context } = waiting;
  const { attempt, liveRun } = context;
  await liveRun.setTotal(attempt, "fold", foldRuns.length);
  const open: (readonly [fold: number, id: string])[] = [];
  for (const [fold, id] of foldRuns.entries())
    if (await hasBundle(id, context)) await liveRun.countDone(attempt, "fold", fold);
    else open.push([fold, id]);
  for (const [fold, id] of open) {
    await awaitRun(id, waiting);
    await liveRun.countDone(attempt, "fold", fold);
  }
  await liveRun.setNote(attempt, stage, "");
}

/** Whether it is complete, if its files are as they were written. */
async function hasBundle(id: string, { store }: PlanContext): Promise<boolean> {
  return (await store.head(`${runKeys(id).bundle}/${bundleFiles.manifest}`)) !== undefined;
}

/** @throws TrommelError that of the first of these runs that has failed */
export async function refuseFailed(runs: readonly string[], { store }: PlanContext): Promise<void> {
  for (const id of runs) {
    const error = await readStopReason(store, { kind: "run", id });
    if (error !== undefined) throw stopReasonToThrow(error);
  }
}
