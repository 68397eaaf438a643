import { setTimeout as sleep } from "node:timers/promises";
import { MultiBar, type SingleBar } from "cli-progress";
import {
  RunBoard,
  runErrorToThrow,
  TrommelError,
  type ObjectStore,
  type StageProgress,
} from "@trommel/common";
import type { LocalCluster } from "../cluster/local-cluster.js";
import { Outage } from "./outage.js";
import type { JobProducer } from "../run-control/job-producer.js";
import { readStatus, type RunResult, type RunStatus, type Subject } from "../run-control/run-state.js";

const pollMs = 500;
/** Without a terminal, one line at most this often. */
const lineEveryMs = 10_000;
/** How often one command queues its run again after Redis lost it. */
const requeuesAtMost = 20;

export interface FollowOptions {
  readonly store: ObjectStore;
  readonly subject: Subject;
  readonly producer: JobProducer;
  readonly cluster?: LocalCluster | undefined;
  /** Queues the run again where Redis lost it; a follower that may not touch the run has none. */
  readonly requeue?: () => Promise<unknown>;
  readonly signal: AbortSignal;
}

/**
 * Watches a run until it ends. Watching may be left and taken up again; a Redis or a store that is away for some minutes
 * is waited for.
 * @throws TrommelError the run's own error, `cancelled`, or `unavailable` where Redis has lost the run for good
 */
export async function follow(options: FollowOptions): Promise<RunResult> {
  const { store, subject, producer, cluster, signal } = options;
  const display = process.stderr.isTTY ? new Bars() : new Lines();
  const say = (line: string): void => void process.stderr.write(`trommel: ${subject.id}: ${line}\n`);
  const outage = new Outage(say);
  let requeues = 0;
  const look = async (): Promise<RunResult | undefined> => {
    const status = await readStatus(store, subject, producer);
    display.show(await withActiveImages(status, subject, producer));
    outage.over();
    if (status.result !== undefined) return status.result;
    if (status.phase === "stopped" && options.requeue !== undefined && requeues < requeuesAtMost) {
      await options.requeue();
      requeues += 1;
      say("Redis had lost it; it is queued again, and what is done is not repeated");
      return undefined;
    }
    throwIfOver(status, subject.id);
    return undefined;
  };
  try {
    for (;;) {
      cluster?.check();
      const result = await look().catch((thrown: unknown) => {
        // The run's own error is as final as the run is.
        if (thrown instanceof RunOver) throw thrown.error;
        outage.note(thrown);
        return undefined;
      });
      if (result !== undefined) return result;
      await sleep(pollMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) throw interrupted(subject.id, cluster !== undefined);
    }
  } finally {
    display.stop();
  }
}

function interrupted(id: string, ownCluster: boolean): TrommelError {
  return new TrommelError(
    "cancelled",
    ownCluster
      ? `stopped ${id}; the shards that are done are kept. 'trommel resume ${id}' continues it`
      : `stopped following ${id}; it goes on. 'trommel status ${id} --follow' rejoins it`,
    { context: { interrupted: true } },
  );
}

/** Carries what ended a run past the handling of failures that pass. */
class RunOver extends Error {
  constructor(readonly error: TrommelError) {
    super(error.message);
  }
}

function throwIfOver(status: RunStatus, id: string): void {
  if (status.phase === "failed") {
    throw new RunOver(
      status.error === undefined
        ? new TrommelError(
            "internal",
            `failed to finish ${id}: its last job failed without a word. 'trommel resume ${id}' tries again`,
          )
        : runErrorToThrow(status.error),
    );
  }
  if (status.phase === "cancelled") {
    throw new RunOver(
      new TrommelError("cancelled", `${id} was cancelled. 'trommel resume ${id}' continues it`),
    );
  }
  if (status.phase === "stopped") {
    throw new RunOver(
      new TrommelError(
        "unavailable",
        `failed to follow ${id}: Redis does not know it (any more). 'trommel resume ${id}' rebuilds it from the store`,
        { retryable: false },
      ),
    );
  }
}

/** Adds the images that running shards have worked through, so that progress moves between commits. */
async function withActiveImages(
  status: RunStatus,
  subject: Subject,
  producer: JobProducer,
): Promise<RunStatus> {
  const attempt = (await new RunBoard(producer.redis, subject.id).state())?.attempt;
  if (attempt === undefined || status.phase !== "running") return status;
  const stages: StageProgress[] = [];
  for (const row of status.stages) {
    const { stage, imagesDone, imagesTotal } = row;
    const onImages = stage === "measure" || stage === "extract" || stage === "score";
    if (!onImages || imagesDone >= imagesTotal) {
      stages.push(row);
      continue;
    }
    const active = await producer.activeImages(stage, subject.id, attempt);
    stages.push({ ...row, imagesDone: Math.min(imagesDone + active, imagesTotal) });
  }
  return { ...status, stages };
}

/** What a stage counts: images where it works on images, else its own units. */
function counts(stage: StageProgress): { done: number; total: number; unit: string } {
  if (stage.imagesTotal > 0) return { done: stage.imagesDone, total: stage.imagesTotal, unit: "images" };
  return { done: stage.done, total: stage.total, unit: stage.stage === "train" ? "epochs" : "jobs" };
}

class Bars {
  readonly #multi = new MultiBar(
    {
      format: "{stage} {bar} {value}/{total} {unit} | {rate}/s | {left} | {note}",
      barsize: 30,
      hideCursor: true,
      stream: process.stderr,
      emptyOnZero: true,
      forceRedraw: true,
    },
    { format: "", barCompleteChar: "█", barIncompleteChar: "░" },
  );
  readonly #bars = new Map<string, { bar: SingleBar; startedAt: number; startValue: number }>();

  show(status: RunStatus): void {
    for (const stage of status.stages) {
      const { done, total, unit } = counts(stage);
      if (total === 0) continue;
      const payload = { stage: stage.stage.padEnd(9), unit, rate: "–", left: "", note: noteOf(stage) };
      let row = this.#bars.get(stage.stage);
      if (row === undefined) {
        const bar = this.#multi.create(total, done, payload);
        row = { bar, startedAt: performance.now(), startValue: done };
        this.#bars.set(stage.stage, row);
      }
      const seconds = (performance.now() - row.startedAt) / 1000;
      const rate = seconds > 0 ? (done - row.startValue) / seconds : 0;
      const left = done >= total ? "done" : rate > 0 ? `${formatSeconds((total - done) / rate)} left` : "";
      row.bar.setTotal(total);
      row.bar.update(done, { ...payload, rate: rate > 0 ? rate.toFixed(1) : "–", left });
    }
  }

  stop(): void {
    this.#multi.stop();
  }
}

class Lines {
  #shownAt = -Infinity;
  #shown = "";

  show(status: RunStatus): void {
    const now = performance.now();
    const finished = status.stages.filter((s) => s.total > 0 && s.done >= s.total).map((s) => s.stage);
    const key = finished.join();
    if (key === this.#shown && now - this.#shownAt < lineEveryMs) return;
    const text = status.stages
      .filter((stage) => stage.total > 0)
      .map((stage) => {
        const { done, total, unit } = counts(stage);
        return `${stage.stage} ${done}/${total} ${unit}`;
      })
      .join(", ");
    if (text !== "") process.stderr.write(`${text}\n`);
    this.#shown = key;
    this.#shownAt = now;
  }

  stop(): void {
    // Nothing is held.
  }
}

function noteOf(stage: StageProgress): string {
  const failed = stage.failedImages > 0 ? `${stage.failedImages} failed` : "";
  return [stage.note, failed].filter((text) => text !== "").join(", ");
}

function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
