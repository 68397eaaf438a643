import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { noteStopReason, stopReasonOf } from "../artefacts/runs/stop-reason.js";
import { messageOf, toTrommelError, type TrommelError } from "../errors.js";
import type { ObjectStore } from "../store/object-store.js";
import { holdsLock } from "./job-lock.js";
import { LiveRun } from "./live-run.js";
import { stageTable } from "./pipeline.js";
import { jobId, type JobPayload } from "./queues.js";
import { afterFailure } from "./run-rules.js";

export interface FailedJob {
  readonly payload: JobPayload;
  /** The job's lock, as this process took it. */
  readonly token: string | undefined;
  /** As BullMQ has them: tries that ended before this one, and how many there may be. */
  readonly attemptsMade: number;
  readonly attempts: number | undefined;
  readonly thrown: unknown;
  readonly redis: Redis;
  readonly store: ObjectStore;
  readonly log: Logger;
  /** BullMQ's `UnrecoverableError`: what ends a job without a further try. */
  readonly unrecoverable: new (message: string) => Error;
  /** Called if there is no further try, before the error is known: who hears of it may repeat the command at once. */
  readonly beforeTelling?: (error: TrommelError) => Promise<void>;
}

/**
 * Decides what becomes of a job whose work threw, and records the run's first error if there is no further try.
 * @returns the error for the queue
 */
export async function concludeFailure(failed: FailedJob): Promise<Error> {
  const { payload, token, redis, store, log } = failed;
  const { stage, id, attempt } = payload;
  const error = toTrommelError(failed.thrown);
  const { next, tell } = afterFailure({
    code: error.code,
    retryable: error.retryable,
    attemptsMade: failed.attemptsMade,
    attempts: failed.attempts ?? 1,
    holdsLock: await holdsLock(redis, payload, token),
  });
  const last = next === "fail";
  const job = jobId(payload);
  const stack = error.code === "internal" ? error.stack : undefined;
  // A follower of the run reports the final error; the log is the only place for an error before a further try.
  log[last ? "info" : "warn"]({ job, code: error.code, reason: error.message, last, stack }, "failed");
  if (tell) {
    await failed.beforeTelling?.(error).catch((thrown: unknown) => {
      log.warn({ job, reason: messageOf(thrown) }, "cannot remove what the failed job left");
    });
  }
  if (tell && (await new LiveRun(redis, id).fail(attempt, stage, error))) {
    const subject = { kind: stageTable[stage].subject, id };
    await noteStopReason(store, subject, stopReasonOf(error, stage)).catch((thrown: unknown) => {
      log.warn({ job, reason: messageOf(thrown) }, "cannot write the stop reason to the store");
    });
  }
  return last ? new failed.unrecoverable(error.message) : error;
}
