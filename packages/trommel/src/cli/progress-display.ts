import { MultiBar, type SingleBar } from "cli-progress";
import type { Output } from "./terminal.js";
import { printable } from "../index.js";
import type { Progress } from "../index.js";

/** Without a terminal, one line at most this often. */
const lineEveryMs = 10_000;

/** How a follower shows a run on stderr. */
export interface ProgressDisplay {
  show(stages: readonly Progress[]): void;
  /** A line that stays. */
  say(line: string): void;
  stop(): void;
}

/** Bars on a terminal, lines elsewhere. */
export function openDisplay(stderr: Output): ProgressDisplay {
  return stderr.isTTY === true ? new Bars(stderr) : new Lines(stderr);
}

class Bars implements ProgressDisplay {
  readonly #multi: MultiBar;
  readonly #bars = new Map<string, SingleBar>();

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

  show(stages: readonly Progress[]): void {
    for (const { stage, done, total, unit, perSecond, secondsLeft, ...rest } of stages) {
      const rate = perSecond === undefined ? "–" : perSecond.toFixed(1);
      const left =
        done >= total ? "done" : secondsLeft === undefined ? "" : `${formatSeconds(secondsLeft)} left`;
      const payload = { stage: stage.padEnd(9), unit, rate, left, note: noteOf(rest) };
      let bar = this.#bars.get(stage);
      if (bar === undefined) {
        bar = this.#multi.create(total, done, payload);
        this.#bars.set(stage, bar);
      }
      bar.setTotal(total);
      bar.update(done, payload);
    }
  }

  say(line: string): void {
    this.#multi.log(`${printable(line)}\n`);
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

  show(stages: readonly Progress[]): void {
    const now = performance.now();
    const finished = stages.filter(({ done, total }) => done >= total).map(({ stage }) => stage);
    const key = finished.join();
    if (key === this.#shown && now - this.#shownAt < lineEveryMs) return;
    const text = stages.map(lineOf).join(", ");
    if (text !== "") this.#stderr.write(`${text}\n`);
    this.#shown = key;
    this.#shownAt = now;
  }

  say(line: string): void {
    this.#stderr.write(`${printable(line)}\n`);
  }

  stop(): void {
    // Nothing is held.
  }
}

/** A stage with its counts and, while it is under way, its note. */
function lineOf({ stage, done, total, unit, ...rest }: Progress): string {
  const note = done < total ? noteOf(rest) : "";
  return `${stage} ${done}/${total} ${unit}${note === "" ? "" : ` (${note})`}`;
}

function noteOf({ note, failed, reused }: Pick<Progress, "note" | "failed" | "reused">): string {
  const parts = [printable(note), failed > 0 ? `${failed} failed` : "", reused > 0 ? `${reused} reused` : ""];
  return parts.filter((text) => text !== "").join(", ");
}

/** A duration for people. */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
