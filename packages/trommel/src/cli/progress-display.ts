import { MultiBar, type SingleBar } from "cli-progress";
import { stageTable, type StageProgress } from "@trommel/common";
import type { Output } from "./terminal.js";
import { printable } from "@trommel/common/printable";
import type { RunStatus } from "@trommel/coordinator/run-control/run-state";

/** Without a terminal, one line at most this often. */
const lineEveryMs = 10_000;

/** How a follower shows a run on stderr. */
export interface ProgressDisplay {
  show(status: RunStatus): void;
  stop(): void;
}

/** Bars on a terminal, lines elsewhere. */
export function openDisplay(stderr: Output): ProgressDisplay {
  return stderr.isTTY === true ? new Bars(stderr) : new Lines(stderr);
}

/** What a stage counts, by the stage table; its jobs if it counts images and how many is not known yet. */
function counts(stage: StageProgress): { done: number; total: number; unit: string } {
  const { counts: unit } = stageTable[stage.stage];
  if (unit === "images" && stage.imagesTotal > 0)
    return { done: stage.imagesDone, total: stage.imagesTotal, unit };
  return { done: stage.done, total: stage.total, unit: unit === "epochs" ? unit : "jobs" };
}

class Bars implements ProgressDisplay {
  readonly #multi: MultiBar;
  readonly #bars = new Map<string, { bar: SingleBar; startedAt: number; startValue: number }>();

  constructor(stream: Output) {
    this.#multi = new MultiBar(
      {
        format: "{stage} {bar} {value}/{total} {unit} | {rate}/s | {left} | {note}",
        barsize: 30,
        hideCursor: true,
        stream,
        emptyOnZero: true,
        forceRedraw: true,
      },
      { format: "", barCompleteChar: "█", barIncompleteChar: "░" },
    );
  }

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

class Lines implements ProgressDisplay {
  readonly #stderr: Output;
  #shownAt = -Infinity;
  #shown = "";

  constructor(stderr: Output) {
    this.#stderr = stderr;
  }

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
    if (text !== "") this.#stderr.write(`${text}\n`);
    this.#shown = key;
    this.#shownAt = now;
  }

  stop(): void {
    // Nothing is held.
  }
}

function noteOf(stage: StageProgress): string {
  const failed = stage.failedImages > 0 ? `${stage.failedImages} failed` : "";
  const reused = stage.reusedImages > 0 ? `${stage.reusedImages} reused` : "";
  return [printable(stage.note), failed, reused].filter((text) => text !== "").join(", ");
}

function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
