import {
  LiveRun,
  subjectKeys,
  type ObjectStore,
  type Stage,
  type StageProgress,
  type StopReason,
} from "@trommel/common";
import { interruptedCode, readStopReason } from "@trommel/common/artefacts";
import { isRootLive, phaseOf, stagesOf, stageTable, type RunPhase } from "@trommel/common/jobs";
import { withTimeout } from "@trommel/common/waiting";
import type { JobProducer } from "./queueing/job-producer.js";
import { readResultOrFault, type ExtractionCounts, type RunResult } from "./result.js";
import { traitsOf, type Subject } from "./subject.js";

/** ioredis waits without a limit for a Redis that does not answer; a status does not. */
const redisPatienceMs = 20_000;

export interface RunStatus {
  readonly kind: Subject["kind"];
  readonly id: string;
  readonly phase: RunPhase;
  readonly stages: readonly StageProgress[];
  readonly error: StopReason | undefined;
  readonly result: RunResult | undefined;
  /** The attempt that this describes; undefined if Redis knows no attempt. */
  readonly attempt: number | undefined;
}

/** Everything that can be said of a run now. Without a producer (no Redis) only the store is asked. */
export async function readStatus(
  store: ObjectStore,
  subject: Subject,
  producer: JobProducer | undefined,
): Promise<RunStatus> {
  const { result, fault } = await readResultOrFault(store, subject);
  const base = { kind: subject.kind, id: subject.id, result };
  const liveRun = producer === undefined ? undefined : new LiveRun(producer.redis, subject.id);
  const state =
    liveRun === undefined
      ? undefined
      : await withTimeout({ timeoutMs: redisPatienceMs, doing: "ask Redis" }, liveRun.state());
  const cancelled = result === undefined && (await isCancelled(store, subject));
  const paused = cancelled && (await store.head(subjectKeys(subject).paused)) !== undefined;
  if (producer === undefined || liveRun === undefined || state === undefined) {
    const unknown = { stages: [], error: undefined, attempt: undefined };
    if (fault !== undefined) return { ...base, phase: "failed", ...unknown, error: fault };
    if (result !== undefined || cancelled)
      return {
        ...base,
        phase: result !== undefined ? "complete" : paused ? "paused" : "cancelled",
        ...unknown,
      };
    const error = await whyStopped(store, subject);
    const phase = error === undefined || error.code === interruptedCode ? "stopped" : "failed";
    return { ...base, phase, ...unknown, error };
  }
  const stages: StageProgress[] = [];
  for (const stage of shownStages(subject)) stages.push(await liveRun.progress(state.attempt, stage));
  const found = await producer.rootState(state.rootJobId);
  const root = found === "unknown" && state.opening ? "waiting" : found;
  const live = isRootLive(root);
  // It may have ended between the first look and this one; what the store says now decides.
  const now = live || result !== undefined ? { result, fault } : await readResultOrFault(store, subject);
  const error =
    state.error ??
    (live ? undefined : now.fault) ??
    // The last job of what was cancelled or paused fails because of that.
    (root === "failed" && !cancelled ? await rootError(producer, state.rootJobId) : undefined);
  const phase = phaseOf({
    ...{ complete: now.result !== undefined, cancelled, paused },
    ...{ failedStage: error?.stage, root },
  });
  const extraction = extractionOf(stages);
  const shown =
    now.result === undefined || extraction === undefined ? now.result : { ...now.result, extraction };
  return { ...base, result: shown, phase, stages, error, attempt: state.attempt };
}

function extractionOf(stages: readonly StageProgress[]): ExtractionCounts | undefined {
  const extract = stages.find(({ stage }) => stage === "extract");
  if (extract === undefined || extract.imagesDone === 0) return undefined;
  const { imagesDone, failedImages, reusedImages } = extract;
  return { extracted: imagesDone - failedImages - reusedImages, reused: reusedImages };
}

/** Stages that followers see, in order. */
function shownStages(subject: Subject): readonly Stage[] {
  return stagesOf(subject.kind, traitsOf(subject)).filter((stage) => stageTable[stage].counts !== null);
}

/**
 * What the store says of a run that nobody works on. The note of an embedded cluster that does not answer is of a command
 * that could not take it back.
 */
async function whyStopped(store: ObjectStore, subject: Subject): Promise<StopReason | undefined> {
  const failure = await readStopReason(store, subject);
  if (failure !== undefined) return failure;
  const { cluster } = subjectKeys(subject);
  if ((await store.head(cluster)) === undefined) return undefined;
  const message = `the command that worked on it does not answer here: it was killed, or runs on another machine. 'trommel resume ${subject.id}' continues it`;
  return { code: interruptedCode, message, stage: "" };
}

/** A job that killed every worker that had it fails without a worker that could note the reason. */
async function rootError(producer: JobProducer, root: string): Promise<StopReason> {
  const stage = root.split(".").at(-1) ?? "";
  return { code: "internal", message: await producer.rootFailure(root), stage };
}

async function isCancelled(store: ObjectStore, subject: Subject): Promise<boolean> {
  return (await store.head(subjectKeys(subject).cancelled)) !== undefined;
}
