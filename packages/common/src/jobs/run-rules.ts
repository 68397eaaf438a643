import type { ErrorCode } from "../errors.js";
import type { Stage } from "./queues.js";

/**
 * The decisions of run control, apart from the Redis and the store that they are made about. Coordinators, workers and
 * followers decide by these; so does the model that their properties are tested on (coordinator/run-control/run-model).
 */

export type SubjectKind = "run" | "scoring";

/** A job and the jobs that it waits for. */
export interface FlowStage {
  readonly stage: Stage;
  readonly children: readonly FlowStage[];
}

/**
 * What a new attempt queues; plans add the stages of many jobs below their parents.
 * bundle ← train ← solve ← plan-run, and where the dataset's pixels are measured first plan-run ← normalize ← plan-measure.
 * close ← plan-scoring.
 */
export function flowOf(kind: SubjectKind, { measured }: { readonly measured: boolean }): FlowStage {
  if (kind === "scoring") return chain("close", "plan-scoring");
  const stages: readonly Stage[] = ["train", "solve", "plan-run"];
  return measured ? chain("bundle", ...stages, "normalize", "plan-measure") : chain("bundle", ...stages);
}

function chain(stage: Stage, ...below: readonly Stage[]): FlowStage {
  const [next, ...rest] = below;
  return { stage, children: next === undefined ? [] : [chain(next, ...rest)] };
}

/** The waiting job that a plan adds each stage of many jobs below: its barrier. */
export const barrierOf = {
  measure: "normalize",
  extract: "gram",
  gram: "solve",
  score: "close",
} as const satisfies Partial<Record<Stage, Stage>>;

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
 * A gram needs the split, which stands once everything is listed. The listing is nearly always done long before a gram's
 * shards; where it is not, the gram steps back, for as long as a plan is there that may still end it.
 * @param known.planned whether the plan's job is in Redis; looked at before `listed`, for a plan ends with its listing
 */
export function gramMay(known: {
  readonly planned: boolean;
  readonly listed: boolean;
}): "start" | "wait" | "give-up" {
  if (known.listed) return "start";
  return known.planned ? "wait" : "give-up";
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
  if (known.failedStage?.startsWith("plan-") === true) return "failed";
  if (isRootLive(known.root)) return "running";
  return known.failedStage !== undefined || known.root === "failed" ? "failed" : "stopped";
}
