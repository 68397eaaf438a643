import { jobOptions, shardsPerGram, type JobPayload } from "@trommel/common";
import type { SubjectKind } from "#common/jobs/pipeline";
import { afterFailure, flowOf, mayStart, isAttemptOver, phaseOf } from "#common/jobs/run-rules";
import { treatmentAfter } from "#common/jobs/worker-deaths";

/**
 * A state of the model is the truth (what stands in the store), the disposable (jobs and live run in Redis) and the processes
 * that believe they hold a job, of which some are paused or have lost it without knowing.
 */
export interface RunModel {
  readonly kind: SubjectKind;
  /** Whether the dataset's pixels are measured before the plan. */
  readonly measured: boolean;
  readonly shardSize: number;
  readonly rules: ModelRules;
  /** Files of the prefix in listing order. It may grow while it is read. */
  readonly source: readonly number[];
  /** What stands in the store, by name: an artefact with its marker, or a file that is written whole. */
  readonly store: ReadonlyMap<string, string>;
  /** Undefined where Redis does not know the run. */
  readonly liveRun: ModelLiveRun | undefined;
  readonly jobs: ReadonlyMap<string, ModelJob>;
  /** By the token of the lock that each took its job with. */
  readonly holders: ReadonlyMap<number, Holder>;
  readonly nextToken: number;
  /** Artefacts that stood already when somebody began to make them, once for each time. */
  readonly repeated: readonly string[];
}

export interface ModelLiveRun {
  readonly attempt: number;
  readonly cancelled: boolean;
  readonly root: string;
  readonly error: { readonly code: string; readonly stage: string } | undefined;
}

/** A process at work on a job, or one that wakes and thinks it is. */
export interface Holder {
  readonly token: number;
  readonly payload: JobPayload;
  readonly attemptsMade: number;
  readonly work: Work;
}

/** A test may break one of these, to see that a property notices. */
export const modelRules = {
  afterFailure,
  flowOf,
  mayStart,
  isAttemptOver,
  phaseOf,
  shardsPerGram,
  treatmentAfter,
  attempts: jobOptions.attempts as number,
  failureReleasesParent: jobOptions.ignoreDependencyOnFailure as boolean,
  removeOnFail: jobOptions.removeOnFail as boolean,
  /** A job that finds its marker ends at once. */
  looksForMarker: true,
  /** Nothing is made of inputs that have no marker. */
  requiresInputs: true,
  /** Shard files and listings are written once; another content is a conflict. */
  listsOnce: true,
};
export type ModelRules = typeof modelRules;

export interface ModelJob {
  readonly payload: JobPayload;
  readonly state: "waiting" | "waiting-children" | "active" | "delayed" | "completed" | "failed";
  /** Of the lock, while it is active. */
  readonly token: number;
  readonly attemptsMade: number;
  readonly stalls: number;
  readonly parent: string | undefined;
  /** Children that have not ended. */
  readonly pending: ReadonlySet<string>;
}

/** How far a holder has come. */
export type Work =
  | { readonly at: "begin" }
  /** The rest of what it writes, in order. */
  | { readonly at: "write"; readonly rest: readonly Writing[] }
  | { readonly at: "plan"; readonly plan: Plan }
  | { readonly at: "finish" };

export interface Writing {
  readonly name: string;
  readonly content: string;
  /** With a marker: what stands is kept. Otherwise it is written over. */
  readonly once: boolean;
}

export interface Plan {
  readonly complete: number | undefined;
  /** The listing as it was when this planner came to its end of the shard files. */
  readonly seen: readonly number[] | undefined;
  readonly shards: readonly ModelShard[];
  /** Shards that are written and not yet queued. */
  readonly unqueued: readonly number[];
  readonly flushing: boolean;
  readonly ended: boolean;
  readonly grams: number;
}

export interface ModelShard {
  readonly entries: readonly number[];
  readonly skipped: readonly number[];
}
