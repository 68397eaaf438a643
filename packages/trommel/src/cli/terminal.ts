import { CommanderError } from "commander";
import { printable, type TrommelError, type Variables } from "../index.js";

/** Everything that a command prints and every exit code is decided here. */

/** A stream that a command writes to: `process.stdout`, or one that a test reads. */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean };

/** What a command uses of the process that it runs in. */
export interface CommandIo {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Environment variables. The AWS SDK reads those of the process itself. */
  readonly env: Variables;
  /** The folder that relative paths start from. */
  readonly cwd: string;
  /** Begins to listen to Ctrl-C and SIGTERM. @returns a signal that the first of them aborts. @default nothing aborts it */
  readonly interrupts?: () => AbortSignal;
  /** What becomes of what worker processes write. @default it is written to `stderr` */
  readonly workerOutput?: "inherit";
  /** The command that started this process as a worker of its own; undefined for a command of its own. */
  readonly parent?: ParentCommand | undefined;
}

export interface ParentCommand {
  send(message: unknown): Promise<void>;
}

export const exitCodes = {
  done: 0,
  failed: 1,
  /** The command cannot do what it was asked to: an argument, or a device that is absent. */
  refused: 2,
  /** Done, and not one file could be read. */
  nothingRead: 3,
  /** `evaluate --fail-under`: done, and a figure is on the wrong side of its bound. */
  missedBound: 4,
  /** `--max-failures`: stopped, for more images failed than it allows. */
  tooManyFailures: 5,
  SIGINT: 130,
  SIGTERM: 143,
} as const;

export class Terminal {
  /** What the command ends with, unless it throws. */
  exitCode: number = exitCodes.done;
  readonly io: CommandIo;
  /** Whether stdout is for one JSON object, and words go to stderr. */
  readonly #json: boolean;

  constructor(io: CommandIo, { json }: { readonly json: boolean }) {
    this.io = io;
    this.#json = json;
  }

  get json(): boolean {
    return this.#json;
  }

  /** Begins to listen to Ctrl-C and SIGTERM. @returns aborts with the first of them */
  interrupts(): AbortSignal {
    return this.io.interrupts?.() ?? new AbortController().signal;
  }

  /** Words for people: stdout, or stderr where stdout is for machines. */
  say(line: string): void {
    (this.#json ? this.io.stderr : this.io.stdout).write(`${printable(line, { lines: true })}\n`);
  }

  /** The one object of `--json`. */
  result(value: unknown): void {
    if (this.#json) this.io.stdout.write(`${printable(JSON.stringify(value))}\n`);
  }

  /** How far something is: stderr, whatever stdout is for. */
  progress(line: string): void {
    this.io.stderr.write(`${printable(line)}\n`);
  }

  /** A remark or an error for people, on one line unless it has its own. */
  note(message: string): void {
    this.io.stderr.write(`trommel: ${printable(message, { lines: true })}\n`);
  }

  /** Reports what ended a command. @returns its exit code */
  async fail(error: TrommelError | CommanderError): Promise<number> {
    // Commander has printed its own message, and --help and --version end here with 0.
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return exitCodes.done;
      this.result({ error: { code: "invalid-argument", message: error.message } });
      return exitCodes.refused;
    }
    const { interrupted } = error.context;
    if (error.code === "cancelled" && (interrupted === "SIGINT" || interrupted === "SIGTERM")) {
      this.note(error.message);
      return exitCodes[interrupted];
    }
    const exitCode = exitCodeOf(error);
    if (this.io.parent !== undefined) {
      await this.io.parent.send({ error: error.toJSON() });
      return exitCode;
    }
    this.result({ error: error.toJSON() });
    this.note(error.message);
    if (error.code === "internal" && error.cause instanceof Error)
      this.io.stderr.write(`${printable(error.cause.stack ?? "", { lines: true })}\n`);
    return exitCode;
  }
}

function exitCodeOf({ code }: TrommelError): number {
  if (code === "too-many-failures") return exitCodes.tooManyFailures;
  return code === "invalid-argument" || code === "device-unavailable" ? exitCodes.refused : exitCodes.failed;
}
