import { jobId, TrommelError, type JobPayload } from "@trommel/common";
import type { Holder, ModelJob, RunModel, Work } from "./run-model-state.js";

/** What BullMQ does to jobs and their parents, as far as run control leans on it. test/integration holds it to the real one. */

/**
 * Adds a job below its parent. One with the same id is left as it is, and adopted by the parent.
 * @throws TrommelError `internal` where the parent is gone
 */
export function add(
  state: RunModel,
  payload: JobPayload,
  parent: string | undefined,
  hasChildren = false,
): RunModel {
  const id = jobId(payload);
  const jobs = new Map(state.jobs);
  if (parent !== undefined) {
    const above = jobs.get(parent);
    if (above === undefined) throw new TrommelError("internal", `Missing key for parent job ${parent}`);
    jobs.set(parent, { ...above, pending: new Set(above.pending).add(id) });
  }
  if (!jobs.has(id)) {
    const entry = hasChildren ? "waiting-children" : "waiting";
    jobs.set(id, { payload, state: entry, token: 0, attemptsMade: 0, stalls: 0, parent, pending: new Set() });
  }
  return { ...state, jobs };
}

export function waitAgain(state: RunModel, job: ModelJob): RunModel {
  const jobs = new Map(state.jobs).set(jobId(job.payload), { ...job, state: "waiting", token: 0 });
  return { ...state, jobs };
}

export function delay(state: RunModel, job: ModelJob): RunModel {
  const jobs = new Map(state.jobs).set(jobId(job.payload), { ...job, state: "delayed", token: 0 });
  return { ...state, jobs };
}

/** Ends an active job well, unless children were added to it meanwhile: BullMQ refuses that, and the try counts as failed. */
export function completeJob(state: RunModel, job: ModelJob): RunModel {
  if (job.pending.size === 0) return endJob(state, job, "completed");
  return failJob(state, job, job.attemptsMade + 1 < state.rules.attempts ? "retry" : "fail");
}

export function failJob(state: RunModel, job: ModelJob, next: "retry" | "fail"): RunModel {
  if (next === "fail") return endJob(state, job, "failed");
  return delay(state, { ...job, attemptsMade: job.attemptsMade + 1 });
}

/** A root stays for followers; other jobs are removed, and their parents told. */
function endJob(state: RunModel, job: ModelJob, end: "completed" | "failed"): RunModel {
  const id = jobId(job.payload);
  const jobs = new Map(state.jobs);
  const stays = job.parent === undefined || (end === "failed" && !state.rules.removeOnFail);
  if (stays) jobs.set(id, { ...job, state: end, token: 0 });
  else jobs.delete(id);
  const parent = job.parent === undefined ? undefined : jobs.get(job.parent);
  if (parent !== undefined && (end === "completed" || state.rules.failureReleasesParent)) {
    const pending = new Set(parent.pending);
    pending.delete(id);
    const released = pending.size === 0 && parent.state === "waiting-children";
    jobs.set(jobId(parent.payload), { ...parent, pending, state: released ? "waiting" : parent.state });
  }
  return { ...state, jobs };
}

/** The holder's job, as long as nobody else has been given it. */
export function jobOf(state: RunModel, { payload, token }: Holder): ModelJob | undefined {
  const job = state.jobs.get(jobId(payload));
  return job?.state === "active" && job.token === token ? job : undefined;
}

export function without(state: RunModel, { token }: Holder): RunModel {
  const holders = new Map(state.holders);
  holders.delete(token);
  return { ...state, holders };
}

/** As the workers' and the coordinators' own handling of whatever a stage threw. */
export function failed(state: RunModel, holder: Holder, error: TrommelError): RunModel {
  const job = jobOf(state, holder);
  const { code, retryable } = error;
  const { attemptsMade, payload } = holder;
  const { attempts } = state.rules;
  const decided = state.rules.afterFailure({
    code,
    retryable,
    attemptsMade,
    attempts,
    holdsLock: job !== undefined,
  });
  const after = without(state, holder);
  const tells = decided.tell && after.liveRun?.attempt === payload.attempt;
  const liveRun =
    tells && after.liveRun !== undefined
      ? { ...after.liveRun, error: after.liveRun.error ?? { code, stage: payload.stage } }
      : after.liveRun;
  const told = { ...after, liveRun };
  return job === undefined ? told : failJob(told, job, decided.next);
}

export function refuseIfOver(state: RunModel, { attempt }: JobPayload, looksIntoStore: boolean): void {
  const liveRun = { attempt: state.liveRun?.attempt, cancelled: state.liveRun?.cancelled ?? false };
  if (state.rules.isAttemptOver(liveRun, attempt) || (looksIntoStore && state.store.has("cancelled")))
    throw new TrommelError("cancelled", "it is over");
}

export function going(state: RunModel, holder: Holder, work: Work): RunModel {
  return { ...state, holders: new Map(state.holders).set(holder.token, { ...holder, work }) };
}
