import type { JobPayload, Stage, WorkerQueue } from "@trommel/common";
import { argumentsOf, loadStages, queueOf, stages, stageTable } from "@trommel/common/jobs";
import type { DeviceStageContext, StageOutcome } from "../stages/context.js";
import type { ThreadPool } from "../threads/thread-pool.js";
import type { ReduceNote, ReduceRequest, ReduceThread } from "../threads/reduce-thread.js";

export type JobRouter = (payload: JobPayload, context: DeviceStageContext) => Promise<StageOutcome>;

/**
 * Sends each job to its stage: those that decode images here, those that compute for long to their thread, which loads each stage
 * at its first job.
 * @param queues those that the worker serves: their stages are loaded before it takes a job
 */
export async function createRouter(
  queues: readonly WorkerQueue[],
  { reduce, folds }: { readonly reduce: ReduceThread; readonly folds: ThreadPool<ReduceThread> },
): Promise<JobRouter> {
  const served: ReadonlySet<string> = new Set(queues);
  const here = stages.filter((stage) => served.has(queueOf(stage)) && !isOnThread(stage));
  const stageOf = await loadStages(here, new URL("../stages/", import.meta.url));
  return async (payload, context) => {
    const { stage } = payload;
    const values = argumentsOf(payload);
    const { runsOn } = stageTable[stage];
    if (runsOn === "reduce") return onReduceThread({ stage, values }, context, reduce);
    if (runsOn === "fold")
      return await folds.use((thread) => onReduceThread({ stage, values }, context, thread));
    return (await stageOf(stage)(...values, context)) as StageOutcome;
  };
}

function isOnThread(stage: Stage): boolean {
  const { runsOn } = stageTable[stage];
  return runsOn === "reduce" || runsOn === "fold";
}

async function onReduceThread(
  request: ReduceRequest,
  context: DeviceStageContext,
  reduce: ReduceThread,
): Promise<StageOutcome> {
  const onNote = (note: ReduceNote): void => {
    if (note.kind === "note") context.onNote(note.text);
    else context.onUnits(note.done, note.total);
  };
  return reduce.call("run", request, { signal: context.signal, onNote });
}
