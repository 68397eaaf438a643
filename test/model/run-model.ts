import { jobId, TrommelError, type JobPayload } from "@trommel/common";
import type { SubjectKind } from "#common/jobs/pipeline";
import type { FlowStage, RunPhase } from "#common/jobs/run-rules";
import { tooManyDeaths } from "#common/jobs/worker-deaths";
import { add, failed, jobOf, waitAgain, without } from "./run-model-queue.js";
import { advance } from "./run-model-stages.js";
import { modelRules, type Holder, type ModelJob, type ModelRules, type RunModel } from "./run-model-state.js";

/**
 * Run control as a pure transition function, for property tests over interleavings that no machine would show.
 *
 * What is decided, is decided by the functions that production decides by (`modelRules`); what BullMQ does is in
 * run-model-queue, what each stage reads and writes in run-model-stages and run-model-plan.
 */

/** `pick` chooses among those that are there; where there is none, nothing happens. */
export type ModelEvent =
  | { readonly type: "resume" | "lose-redis" }
  /** A command that dies after it opened an attempt and before it queued anything. */
  | { readonly type: "open" }
  | { readonly type: "cancel"; readonly told: boolean }
  /** `grow`: a file appears. `take`, `stall`, `wake`: of jobs. `advance`, `hand-back`, `die`: of holders. */
  | {
      readonly type: "grow" | "take" | "stall" | "wake" | "advance" | "hand-back" | "die";
      readonly pick: number;
    }
  | { readonly type: "throw"; readonly pick: number; readonly retryable: boolean };

export function emptyRun(options: {
  readonly kind: SubjectKind;
  readonly measured: boolean;
  readonly files: number;
  readonly shardSize: number;
  readonly rules?: Partial<ModelRules>;
}): RunModel {
  const { kind, measured, shardSize } = options;
  return {
    kind,
    measured: kind === "run" && measured,
    shardSize,
    rules: { ...modelRules, ...options.rules },
    // Gaps, in which files may appear later.
    source: Array.from({ length: options.files }, (_, i) => 10 * i),
    store: new Map(),
    liveRun: undefined,
    jobs: new Map(),
    holders: new Map(),
    nextToken: 1,
    repeated: [],
  };
}

/** What followers are told. */
export function phaseOfModel(state: RunModel): { phase: RunPhase; why: string | undefined } {
  const { liveRun, store, rules } = state;
  const root = liveRun === undefined ? undefined : (state.jobs.get(liveRun.root)?.state ?? "unknown");
  const complete = store.has(state.kind === "run" ? "bundle" : "success");
  const cancelled = store.has("cancelled");
  if (root === undefined) {
    return { phase: complete ? "complete" : cancelled ? "cancelled" : "stopped", why: undefined };
  }
  const why = liveRun?.error ?? (root === "failed" ? { code: "internal", stage: "root" } : undefined);
  return { phase: rules.phaseOf({ complete, cancelled, failedStage: why?.stage, root }), why: why?.code };
}

/** The state after an event; the same one where the event cannot be. */
export function step(state: RunModel, event: ModelEvent): RunModel {
  switch (event.type) {
    case "resume":
      return resume(state, true);
    case "open":
      return resume(state, false);
    case "lose-redis":
      return { ...state, liveRun: undefined, jobs: new Map() };
    case "cancel":
      return cancel(state, event.told);
    case "grow":
      return grow(state, event.pick);
    case "take":
      return take(state, event.pick);
    case "stall":
      return onJob(state, "active", event.pick, (job) => stall(state, job));
    case "wake":
      return onJob(state, "delayed", event.pick, (job) => waitAgain(state, job));
    case "advance":
      return onHolder(state, event.pick, (holder) => advance(state, holder));
    case "hand-back":
      return onHolder(state, event.pick, (holder) => handBack(state, holder));
    case "die":
      return onHolder(state, event.pick, (holder) => without(state, holder));
    case "throw": {
      const error = new TrommelError("unavailable", "failed", { retryable: event.retryable });
      return onHolder(state, event.pick, (holder) => failed(state, holder, error));
    }
  }
}

/** As `trommel resume`: a run that is running is joined, one that is complete is shown. */
function resume(state: RunModel, queues: boolean): RunModel {
  const { phase } = phaseOfModel(state);
  if (phase === "running" || phase === "complete") return state;
  const store = new Map(state.store);
  store.delete("cancelled");
  const attempt = (state.liveRun?.attempt ?? 0) + 1;
  const flow = state.rules.flowOf(state.kind, {
    tuned: false,
    measured: state.measured,
    folded: false,
    validated: state.kind === "run",
  });
  const root = jobId({ stage: flow.stage, id: "r", attempt } as JobPayload);
  const liveRun = { attempt, cancelled: false, root, error: undefined };
  const opened = { ...state, store, liveRun };
  return queues ? addTree(opened, flow, attempt, undefined) : opened;
}

function addTree(
  state: RunModel,
  { stage, children }: FlowStage,
  attempt: number,
  parent?: string,
): RunModel {
  const payload = { stage, id: "r", attempt } as JobPayload;
  const added = add(state, payload, parent, children.length > 0);
  return children.reduce((now, child) => addTree(now, child, attempt, jobId(payload)), added);
}

function cancel(state: RunModel, told: boolean): RunModel {
  if (phaseOfModel(state).phase === "complete") return state;
  const store = new Map(state.store).set("cancelled", "");
  const liveRun =
    state.liveRun === undefined || !told ? state.liveRun : { ...state.liveRun, cancelled: true };
  return { ...state, store, liveRun };
}

function grow(state: RunModel, pick: number): RunModel {
  const file = 10 * (pick % (state.source.length + 1)) - 5;
  if (state.source.includes(file)) return state;
  return { ...state, source: [...state.source, file].sort((a, b) => a - b) };
}

function take(state: RunModel, pick: number): RunModel {
  return onJob(state, "waiting", pick, (job) => {
    const token = state.nextToken;
    const jobs = new Map(state.jobs).set(jobId(job.payload), { ...job, state: "active", token });
    const { payload, attemptsMade } = job;
    const holder: Holder = { token, payload, attemptsMade, work: { at: "begin" } };
    const holders = new Map(state.holders).set(token, holder);
    const taken = { ...state, jobs, holders, nextToken: token + 1 };
    if (state.rules.treatmentAfter(job.stalls, 0) !== "give-up") return taken;
    return failed(taken, holder, tooManyDeaths(payload.stage, job.stalls));
  });
}

/** Its lock has lapsed: the holder is dead, or paused and will wake. */
function stall(state: RunModel, job: ModelJob): RunModel {
  return waitAgain(state, { ...job, stalls: job.stalls + 1 });
}

function handBack(state: RunModel, holder: Holder): RunModel {
  const job = jobOf(state, holder);
  return job === undefined ? without(state, holder) : waitAgain(without(state, holder), job);
}

function onJob(
  state: RunModel,
  wanted: ModelJob["state"],
  pick: number,
  act: (job: ModelJob) => RunModel,
): RunModel {
  const jobs = [...state.jobs.values()].filter((job) => job.state === wanted);
  const job = jobs[pick % jobs.length];
  return job === undefined ? state : act(job);
}

function onHolder(state: RunModel, pick: number, act: (holder: Holder) => RunModel): RunModel {
  const holder = [...state.holders.values()][pick % state.holders.size];
  return holder === undefined ? state : act(holder);
}
