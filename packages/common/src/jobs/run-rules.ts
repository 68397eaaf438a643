import { TrommelError, type ErrorCode } from "../errors.js";
import {
  stages,
  stagesOf,
  stageTable,
  type Stage,
  type SubjectKind,
  type SubjectTraits,
} from "./pipeline.js";

/**
 * The decisions of run control as pure functions, without Redis and store. Coordinators, workers and followers decide by these; so does the model that their properties are tested on (test/model/run-model.ts).
 */

/** A job and the jobs that it waits for. */
export interface FlowStage {
  readonly stage: Stage;
  readonly children: readonly FlowStage[];
}

/**
 * What a new attempt queues: the stages of a single job, each above the one before it, up to the root. Plans add the stages of
 * many jobs below their barriers.
 * @throws TrommelError `internal` if the table has no such stage
 */
export function flowOf(kind: SubjectKind, traits: SubjectTraits): FlowStage {
  const single = stagesOf(kind, traits).filter((stage) => stageTable[stage].unit === "one");
  const flow = single.reduce<FlowStage | undefined>(
    (below, stage) => ({ stage, children: below === undefined ? [] : [below] }),
    undefined,
  );
  if (flow === undefined) throw new TrommelError("internal", `cannot queue a ${kind}: it has no stage`);
  return flow;
}

/** What Redis knows of a run's attempts. */
export interface LiveAttempt {
  /** Undefined if Redis does not know the run (any more). */
  readonly attempt: number | undefined;
  readonly cancelled: boolean;
}

/** Whether the attempt was cancelled or a later one has replaced it: its jobs must end without work. */
export function isAttemptOver(liveRun: LiveAttempt, attempt: number): boolean {
  return liveRun.cancelled || (liveRun.attempt !== undefined && liveRun.attempt !== attempt);
}

/** What becomes of a job whose work threw. */
export interface AfterFailure {
  readonly next: "retry" | "fail";
  /** Whether the run is marked as failed: there is no further try, and no other worker has the job. */
  readonly tell: boolean;
}

/** Tries of a job whose store is full: a few seconds, because a person has to make room and should hear of it soon. */
const triesOfFullStore = 3;

/**
 * @param failure.attemptsMade tries that ended before this one
 * @param failure.holdsLock false if the job's lock has expired: another worker may have the job, and decides what becomes of it
 */
export function afterFailure(failure: {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly attemptsMade: number;
  readonly attempts: number;
  readonly holdsLock: boolean;
}): AfterFailure {
  const attempts =
    failure.code === "store-full" ? Math.min(failure.attempts, triesOfFullStore) : failure.attempts;
  const last = !failure.retryable || failure.attemptsMade + 1 >= attempts;
  // A cancelled run has no error.
  return { next: last ? "fail" : "retry", tell: last && failure.code !== "cancelled" && failure.holdsLock };
}

/**
 * What a job does that needs an object which its place in the flow does not guarantee: it waits as long as the job that writes
 * the object is queued.
 * @param known.makerQueued whether that job is in Redis; looked at before `written`, because the job ends after it has written
 */
export function mayStart(known: {
  readonly makerQueued: boolean;
  readonly written: boolean;
}): "start" | "wait" | "give-up" {
  if (known.written) return "start";
  return known.makerQueued ? "wait" : "give-up";
}

export type RunPhase = "complete" | "running" | "failed" | "cancelled" | "paused" | "stopped";

/** Whether an attempt is under way, by the state of its root job: one of BullMQ's, or `unknown` if Redis does not have the job. */
export function isRootLive(root: string): boolean {
  return root !== "failed" && root !== "completed" && root !== "unknown";
}

export function phaseOf(known: {
  /** According to the store alone. */
  readonly complete: boolean;
  /** According to the mark in the store alone. */
  readonly cancelled: boolean;
  /** That mark is one of a pause. @default false */
  readonly paused?: boolean;
  /** The stage of the attempt's first error. */
  readonly failedStage: string | undefined;
  readonly root: string;
}): RunPhase {
  if (known.complete) return "complete";
  if (known.cancelled) return known.paused === true ? "paused" : "cancelled";
  // Without a plan a run cannot succeed, even while its other jobs are still failing one after another.
  if (isPlan(known.failedStage)) return "failed";
  if (isRootLive(known.root)) return "running";
  return known.failedStage !== undefined || known.root === "failed" ? "failed" : "stopped";
}

function isPlan(name: string | undefined): boolean {
  return stages.some((stage) => stage === name && stageTable[stage].runsOn === "coordinator");
}
