import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { outsideVariables, trommelBin } from "../../support/process/cli.js";

/** What a supervisor waits before it starts again what ended. */
const restartMs = 500;

export interface ProcessEnd {
  readonly name: string;
  /** The last signal that it was sent, or undefined where it ended by itself. */
  readonly asked: NodeJS.Signals | undefined;
  /** Null where a signal ended it. */
  readonly code: number | null;
}

/** A command that is started again whenever it ends, as Kubernetes would; what it says goes to a file. */
export class SupervisedProcess {
  readonly name: string;
  /** Every end so far. */
  readonly ends: ProcessEnd[] = [];
  readonly #args: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #logFile: string;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #asked: NodeJS.Signals | undefined;
  #isPaused = false;
  #isHeld = false;

  constructor(
    name: string,
    args: readonly string[],
    options: { readonly env: Readonly<Record<string, string>>; readonly folder: string },
  ) {
    this.name = name;
    this.#args = args;
    this.#env = options.env;
    this.#logFile = join(options.folder, `${name}.log`);
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** @returns false where it does not run at this moment */
  signal(signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): boolean {
    if (this.#child === undefined) return false;
    if (signal === "SIGSTOP" || signal === "SIGCONT") this.#isPaused = signal === "SIGSTOP";
    else this.#asked = signal;
    return this.#child.kill(signal);
  }

  /** SIGTERM and the end of it, then nothing until {@link release}. @returns whether it ended in time and as it should */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#isHeld = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child === undefined) return true;
    const exited = once(child, "exit");
    this.signal("SIGCONT");
    this.signal("SIGTERM");
    const killer = setTimeout(() => this.signal("SIGKILL"), timeoutMs);
    const [code, signal] = (await exited) as [number | null, NodeJS.Signals | null];
    clearTimeout(killer);
    // One that is still starting is ended by the signal itself.
    return code === 0 || signal === "SIGTERM";
  }

  /** Starts it again after a drain. */
  release(): void {
    this.#isHeld = false;
    if (this.#child === undefined) this.#start();
  }

  /** For the end: gone, whatever state it is in. */
  async stop(): Promise<void> {
    this.#isHeld = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child === undefined) return;
    const exited = once(child, "exit");
    this.signal("SIGKILL");
    await exited;
  }

  #start(): void {
    const log = openSync(this.#logFile, "a");
    const child = spawn(process.execPath, [trommelBin, ...this.#args], {
      env: { ...outsideVariables(), ...this.#env },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    this.#child = child;
    this.#isPaused = false;
    this.#asked = undefined;
    const killAtExit = (): void => void child.kill("SIGKILL");
    process.once("exit", killAtExit);
    child.once("exit", (code) => {
      process.off("exit", killAtExit);
      this.ends.push({ name: this.name, asked: this.#asked, code });
      this.#child = undefined;
      if (!this.#isHeld) this.#restart = setTimeout(() => this.#start(), restartMs);
    });
  }
}
