import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { waitUntil } from "./wait-until.js";

/**
 * The command line: as a subprocess, as a person would start it, or, for what needs no process of its own, inside the
 * test's ({@link runInProcess}).
 */

export const trommelBin = fileURLToPath(
  new URL("../../../../packages/trommel/bin/trommel.js", import.meta.url),
);

export interface CliOptions {
  /** Variables beside those of the test's own process; AWS_ and TROMMEL_ ones of that are left out. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The command itself. @default {@link trommelBin} */
  readonly bin?: string;
  /** A bound, after which the command is killed and the test fails. @default 60000 */
  readonly timeoutMs?: number;
}

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command under way. */
export class RunningCli {
  readonly #child: ChildProcess;
  readonly #ended: Promise<CliResult>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], options: CliOptions = {}) {
    const child = spawn(process.execPath, [options.bin ?? trommelBin, ...args], {
      env: { ...outsideVariables(), ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    child.stdout.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.#ended = once(child, "exit").then(async ([code, signal]: unknown[]) => {
      // A worker that outlives a killed command holds its stderr open: the streams' end must not be awaited then.
      if (signal === null) await this.#streamsEnd();
      child.stdout.destroy();
      child.stderr.destroy();
      return {
        code: code as number | null,
        signal: signal as NodeJS.Signals | null,
        stdout: this.stdout,
        stderr: this.stderr,
      };
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error("the command did not start");
    return pid;
  }

  /** @throws Error with what it said where it does not end in time; it is killed then */
  async end(timeoutMs = 60_000): Promise<CliResult> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#child.kill("SIGKILL");
        reject(
          new Error(`the command did not end in ${timeoutMs} ms; it said:\n${this.stdout}\n${this.stderr}`),
        );
      }, timeoutMs);
    });
    try {
      return await Promise.race([this.#ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until stdout or stderr holds the text. */
  async says(text: string, timeoutMs = 30_000): Promise<void> {
    await waitUntil(
      `the command says ${JSON.stringify(text)}`,
      () => {
        if (this.stdout.includes(text) || this.stderr.includes(text)) return true;
        if (this.#child.exitCode !== null) throw new Error(`the command ended and said:\n${this.stderr}`);
        return false;
      },
      timeoutMs,
    );
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** For the end of a test: gone, whatever state it is in. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGTERM");
    await this.end(45_000);
  }

  async #streamsEnd(): Promise<void> {
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null && !stream.closed) await once(stream, "close");
    }
  }
}

/** Runs a command to its end. */
export async function trommel(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return new RunningCli(args, options).end(options.timeoutMs);
}

export interface InProcessOptions {
  /** All of the command's variables: it sees none of the test's own process. AWS_ ones need a process of their own. */
  readonly env?: Readonly<Record<string, string>>;
  /** @default the test's own folder */
  readonly cwd?: string;
  /** Aborting it is the command's Ctrl-C or, with "SIGTERM" as the reason, its SIGTERM. */
  readonly interrupt?: AbortSignal;
}

/** Runs a command inside this process to its end: for refusals, help and what needs no worker. */
export async function runInProcess(
  args: readonly string[],
  options: InProcessOptions = {},
): Promise<CliResult> {
  const { env = {}, cwd = process.cwd(), interrupt } = options;
  if (Object.keys(env).some((name) => name.startsWith("AWS_")))
    throw new Error("the AWS SDK reads the variables of its process: give such a command one of its own");
  const stdout = new Collected();
  const stderr = new Collected();
  // Most tests start processes alone: they need not load the command line themselves.
  const { main } = await import("#trommel/cli");
  const code = await main(args, {
    stdout,
    stderr,
    env,
    cwd,
    ...(interrupt === undefined ? {} : { interrupts: () => interrupt }),
  });
  return { code, signal: null, stdout: stdout.text, stderr: stderr.text };
}

/** Keeps what is written to it. */
class Collected extends Writable {
  text = "";

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString("utf8");
    done();
  }
}

/** Runs a command that must succeed, with --json. @returns its one JSON object */
export async function trommelJson(args: readonly string[], options: CliOptions = {}): Promise<unknown> {
  const { code, stdout, stderr } = await trommel([...args, "--json"], options);
  if (code !== 0) throw new Error(`trommel ${args.join(" ")} ended with ${String(code)}:\n${stderr}`);
  return onlyJsonObject(stdout);
}

/** As {@link trommelJson}, inside this process: for clients of a cluster, and what needs no worker. */
export async function jsonInProcess(
  args: readonly string[],
  options: InProcessOptions = {},
): Promise<unknown> {
  const { code, stdout, stderr } = await runInProcess([...args, "--json"], options);
  if (code !== 0) throw new Error(`trommel ${args.join(" ")} ended with ${String(code)}:\n${stderr}`);
  return onlyJsonObject(stdout);
}

/** @throws Error where the text is anything but one line with one JSON object */
export function onlyJsonObject(stdout: string): unknown {
  const lines = stdout.split("\n");
  if (lines.length !== 2 || lines[1] !== "" || !lines[0]?.startsWith("{"))
    throw new Error(`stdout is not one JSON object: ${stdout}`);
  return JSON.parse(lines[0]) as unknown;
}

/** The test's own environment, without what would lead a command to somebody's Redis or buckets. */
export function outsideVariables(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(AWS_|TROMMEL_|NODE_TEST_CONTEXT)/.test(name),
  );
  return {
    ...Object.fromEntries(kept),
    AWS_CONFIG_FILE: "/nonexistent",
    AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
    AWS_EC2_METADATA_DISABLED: "true",
    // The AWS SDK announces on stderr which Node.js versions it will leave.
    NODE_NO_WARNINGS: "1",
  };
}
