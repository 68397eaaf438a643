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
 * The decisions of run control, apart from the Redis and the store that they are made about. Coordinators, workers and
 * followers decide by these; so does the model that their properties are tested on (coordinator/run-control/run-model).
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
  /** Undefined where Redis does not know the run (any more). */
  readonly attempt: number | undefined;
  readonly cancelled: boolean;
}

/** True where the attempt was cancelled or another has taken its place: its jobs must end without work. */
export function isAttemptOver(liveRun: LiveAttempt, attempt: number): boolean {
  return liveRun.cancelled || (liveRun.attempt !== undefined && liveRun.attempt !== attempt);
}

/** What becomes of a job whose work threw. */
export interface AfterFailure {
  readonly next: "retry" | "fail";
  /** Whether the run is marked as failed: no further try comes, and nobody else has the job. */
  readonly tell: boolean;
}

/** Tries of a job that meets a store without room: seconds, for somebody has to make some, and wants to be told. */
const triesOfFullStore = 3;

/**
 * @param failure.attemptsMade tries that ended before this one
 * @param failure.holdsLock false where the job's lock has lapsed, so that another may be at work on it: what becomes of
 *   it is that one's to say
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

export type RunPhase = "complete" | "running" | "failed" | "cancelled" | "stopped";

/** What a root job's state says of its attempt: BullMQ's states, or `unknown` where Redis does not have it. */
export function isRootLive(root: string): boolean {
  return root !== "failed" && root !== "completed" && root !== "unknown";
}

export function phaseOf(known: {
  /** By the store alone. */
  readonly complete: boolean;
  /** By the store's mark alone. */
  readonly cancelled: boolean;
  /** The stage of the attempt's first error. */
  readonly failedStage: string | undefined;
  readonly root: string;
}): RunPhase {
  if (known.complete) return "complete";
  if (known.cancelled) return "cancelled";
  // Without a plan nothing can come of a run, even while its other jobs find that out one after another.
  if (isPlan(known.failedStage)) return "failed";
  if (isRootLive(known.root)) return "running";
  return known.failedStage !== undefined || known.root === "failed" ? "failed" : "stopped";
}

function isPlan(name: string | undefined): boolean {
  return stages.some((stage) => stage === name && stageTable[stage].runsOn === "coordinator");
}
