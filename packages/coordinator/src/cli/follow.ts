import { setTimeout as sleep } from "node:timers/promises";
import { MultiBar, type SingleBar } from "cli-progress";
import {
  RunBoard,
  runErrorToThrow,
  TrommelError,
  type ObjectStore,
  type StageProgress,
} from "@trommel/common";
import { printable } from "@trommel/common/printable";
import type { LocalCluster } from "../cluster/local-cluster.js";
import type { JobProducer } from "../run-control/job-producer.js";
import { readStatus, type RunResult, type RunStatus, type Subject } from "../run-control/run-state.js";

const pollMs = 500;
/** Without a terminal, one line at most this often. */
const lineEveryMs = 10_000;

/**
 * Watches a run until it ends. Watching changes nothing: it may be left and taken up again.
 * @throws TrommelError the run's own error, `cancelled`, or `unavailable` where Redis has lost the run
 */
export async function follow(options: {
  readonly store: ObjectStore;
  readonly subject: Subject;
  readonly producer: JobProducer;
  readonly cluster?: LocalCluster | undefined;
  readonly signal: AbortSignal;
}): Promise<RunResult> {
  const { store, subject, producer, cluster, signal } = options;
  const display = process.stderr.isTTY ? new Bars() : new Lines();
  try {
    for (;;) {
      cluster?.check();
      const status = await readStatus(store, subject, producer);
      display.show(await withActiveImages(status, subject, producer));
      if (status.result !== undefined) return status.result;
      throwIfOver(status, subject.id);
      await sleep(pollMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) {
        throw new TrommelError(
          "cancelled",
          cluster === undefined
            ? `stopped following ${subject.id}; it goes on. 'trommel status ${subject.id} --follow' rejoins it`
            : `stopped ${subject.id}; the shards that are done are kept. 'trommel resume ${subject.id}' continues it`,
          { context: { interrupted: true } },
        );
      }
    }
  } finally {
    display.stop();
  }
}

function throwIfOver(status: RunStatus, id: string): void {
  if (status.phase === "failed") {
    throw status.error === undefined
      ? new TrommelError(
          "internal",
          `failed to finish ${id}: its last job failed without a word. 'trommel resume ${id}' tries again`,
        )
      : runErrorToThrow(status.error);
  }
  if (status.phase === "cancelled") {
    throw new TrommelError("cancelled", `${id} was cancelled. 'trommel resume ${id}' continues it`);
  }
  if (status.phase === "stopped") {
    throw new TrommelError(
      "unavailable",
      `failed to follow ${id}: Redis does not know it (any more). 'trommel resume ${id}' rebuilds it from the store`,
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
  return [printable(stage.note), failed].filter((text) => text !== "").join(", ");
}

function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
