import { setTimeout as sleep } from "node:timers/promises";
import {
  LiveRun,
  stageTable,
  stopReasonToThrow,
  TrommelError,
  type ObjectStore,
  type StageProgress,
} from "@trommel/common";
import { listMembers } from "@trommel/common/redis";
import { unlessAborted, withTimeout } from "@trommel/common/waiting";
import {
  readStatus,
  type JobProducer,
  type RunResult,
  type RunStatus,
  type Subject,
} from "@trommel/coordinator/run-control";
import type { LocalCluster } from "../../cluster/local-cluster.js";
import { Attendance } from "./attendance.js";
import { TransientErrors } from "./transient-errors.js";

const pollMs = 500;
/** How often one follower queues its run again after Redis lost it, or after something damaged was removed. */
const requeuesAtMost = 20;
/** ioredis waits without a bound for a Redis that does not answer; a look at a run does not. */
const lookTimeoutMs = 60_000;

export interface FollowOptions {
  readonly store: ObjectStore;
  readonly subject: Subject;
  readonly producer: JobProducer;
  readonly cluster?: LocalCluster | undefined;
  /** Queues the run again where that helps; a follower that may not touch the run has none. */
  readonly requeue?: ((lost: RunStatus) => Promise<unknown>) | undefined;
  readonly notice: (line: string) => void;
  /** Called with each look at the run. */
  readonly onStatus: (status: RunStatus) => void;
  readonly signal: AbortSignal;
}

/**
 * Watches a run until it ends. Watching may be left and taken up again; a Redis or a store that does not answer for some
 * minutes is waited for.
 * @throws TrommelError the run's own error, `cancelled`, or `unavailable` where Redis has lost the run for good
 */
export async function follow(options: FollowOptions): Promise<RunResult> {
  const { store, subject, producer, cluster, signal } = options;
  const say = (line: string): void => options.notice(`${subject.id}: ${line}`);
  const transientErrors = new TransientErrors(say);
  const unlessLeft = <T>(work: Promise<T>): Promise<T> =>
    unlessAborted(signal, work).catch((thrown: unknown) => {
      throw signal.aborted ? interrupted(options) : thrown;
    });
  const attendance = new Attendance(() => listMembers(producer.redis), say);
  let requeues = 0;
  const look = async (): Promise<RunResult | undefined> => {
    const looking = readStatus(store, subject, producer).then((seen) =>
      withActiveImages(seen, subject, producer),
    );
    const status = await withTimeout(
      { timeoutMs: lookTimeoutMs, doing: `see how ${subject.id} is` },
      looking,
    );
    options.onStatus(status);
    transientErrors.over();
    if (status.result !== undefined) return status.result;
    const why = whyAgain(status);
    if (why !== undefined && options.requeue !== undefined && requeues < requeuesAtMost) {
      requeues += 1;
      await withTimeout(
        { timeoutMs: lookTimeoutMs, doing: `queue ${subject.id} again` },
        options.requeue(status),
      );
      say(`${why}; it is queued again, and what is done is not repeated`);
      return undefined;
    }
    throwIfOver(status, subject.id);
    // The handle's own cluster serves, or has said why it does not.
    if (cluster === undefined) await attendance.look();
    return undefined;
  };
  for (;;) {
    cluster?.check();
    producer.check();
    const looked = look().catch((thrown: unknown) => {
      // What is left behind may find its connection closed.
      if (signal.aborted) return undefined;
      // The run's own error is as final as the run is.
      if (thrown instanceof RunOver) throw thrown.error;
      transientErrors.note(thrown);
      return undefined;
    });
    const result = await unlessLeft(looked);
    if (result !== undefined) return result;
    await unlessLeft(sleep(pollMs));
  }
}

/** What happened to a run that another attempt brings on by itself; undefined where none does. */
function whyAgain({ phase, error }: RunStatus): string | undefined {
  if (phase === "stopped") return "Redis had lost it";
  if (phase !== "failed" || error?.removed !== true) return undefined;
  return error.message.replace(/(has been removed).*$/s, "$1");
}

/** What a follower ends with whose handle was closed or aborted; `interrupted` says by what. */
function interrupted({ subject: { id }, cluster, signal, store }: FollowOptions): TrommelError {
  const place = `--store ${store.url}`;
  const message =
    cluster === undefined
      ? `stopped following ${id}; its cluster continues it. 'trommel status ${id} --follow ${place}' follows it again`
      : `stopped ${id}; the shards that are done are kept. 'trommel resume ${id} ${place}' continues it`;
  const by = typeof signal.reason === "string" ? signal.reason : "aborted";
  return new TrommelError("cancelled", message, { context: { id, interrupted: by }, cause: signal.reason });
}

/** Carries what ended a run past the handling of failures that pass. */
class RunOver extends Error {
  constructor(readonly error: TrommelError) {
    super(error.message);
  }
}

function throwIfOver(status: RunStatus, id: string): void {
  const error = errorOf(status, id);
  if (error !== undefined) throw new RunOver(error);
}

/** Why a run that nobody works on has no result; undefined while it runs and once it is complete. */
export function errorOf(status: RunStatus, id: string): TrommelError | undefined {
  switch (status.phase) {
    case "complete":
    case "running":
      return undefined;
    case "failed":
      return status.error === undefined
        ? new TrommelError(
            "internal",
            `cannot finish ${id}: its last job failed and nobody said why. 'trommel resume ${id}' tries again`,
          )
        : stopReasonToThrow(status.error);
    case "cancelled":
      return new TrommelError("cancelled", `${id} was cancelled. 'trommel resume ${id}' continues it`);
    case "paused":
      return new TrommelError("cancelled", `${id} is paused. 'trommel unpause ${id}' continues it`);
    case "stopped":
      return new TrommelError(
        "unavailable",
        `cannot follow ${id}: nobody works on it now. 'trommel resume ${id}' continues it from the store`,
        { retryable: false },
      );
  }
}

/** Adds the images that running shards have worked through, so that progress moves between commits. */
async function withActiveImages(
  status: RunStatus,
  subject: Subject,
  producer: JobProducer,
): Promise<RunStatus> {
  const attempt = (await new LiveRun(producer.redis, subject.id).state())?.attempt;
  if (attempt === undefined || status.phase !== "running") return status;
  const stages: StageProgress[] = [];
  for (const progress of status.stages) {
    const { stage, imagesDone, imagesTotal } = progress;
    if (stageTable[stage].counts !== "images" || imagesDone >= imagesTotal) {
      stages.push(progress);
      continue;
    }
    const active = await producer.activeImages(stage, subject.id, attempt);
    stages.push({ ...progress, imagesDone: Math.min(imagesDone + active, imagesTotal) });
  }
  return { ...status, stages };
}
