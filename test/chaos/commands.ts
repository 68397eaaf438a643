import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "@trommel/common";
import { z } from "zod";
import { RunningCli, type CliResult } from "../support/process/cli.js";

/** In which a training or a scoring must end, whatever is done to it. It takes seconds on an idle machine when nothing is. */
const boundMs = 600_000;
/** In which a command that follows nothing must end. */
const commandBoundMs = 120_000;
/** What a person, or a supervisor, waits before giving a command again. */
const repeatMs = 300;

const failedCommand = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** The command that is being followed at this moment, for whoever wants to disturb it. */
export class CommandSlot {
  running: RunningCli | undefined;
  /** The run that it trains; undefined for a scoring, whose id it alone knows. */
  run: string | undefined;
  readonly #env: Readonly<Record<string, string>>;
  #args: readonly string[] = [];
  readonly #repeats: RunningCli[] = [];

  constructor(env: Readonly<Record<string, string>>) {
    this.#env = env;
  }

  start(args: readonly string[]): RunningCli {
    this.#args = args;
    this.running = this.#follow();
    return this.running;
  }

  /** The same command again, next to the first. */
  repeat(): boolean {
    if (this.running === undefined) return false;
    this.#repeats.push(this.#follow());
    return true;
  }

  async cancel(): Promise<boolean> {
    if (this.running === undefined || this.run === undefined) return false;
    const { code } = await new RunningCli(["cancel", this.run], { env: this.#env }).end(commandBoundMs);
    return code === 0;
  }

  /** What the repeated commands came to; they see the same end. */
  async repeatsEnd(timeoutMs: number): Promise<CliResult[]> {
    return Promise.all(this.#repeats.splice(0).map((command) => command.end(timeoutMs)));
  }

  #follow(): RunningCli {
    return new RunningCli([...this.#args, "--follow", "--json"], { env: this.#env });
  }
}

/** A command that ended by itself and without success. */
export interface GivenUp {
  readonly command: string;
  readonly code: string;
  readonly message: string;
}

export class DidNotEnd extends Error {}

/** Gives a command, and gives it again until it succeeds. @throws DidNotEnd after ten minutes */
export async function finish(
  slot: CommandSlot,
  argsOf: (turn: number) => readonly string[] | Promise<readonly string[]>,
): Promise<GivenUp[]> {
  const givenUp: GivenUp[] = [];
  const deadline = performance.now() + boundMs;
  const leftMs = (): number => Math.max(1, deadline - performance.now());
  const inTime = async <T>(work: Promise<T>): Promise<T> =>
    work.catch((thrown: unknown) => {
      throw new DidNotEnd(messageOf(thrown));
    });
  const note = (args: readonly string[], { code, signal, stdout, stderr }: CliResult): void => {
    if (code !== 0 && signal === null) givenUp.push(describeFailure(args, stdout, stderr));
  };
  for (let turn = 0; ; turn += 1) {
    const args = await argsOf(turn);
    const result = await inTime(slot.start(args).end(leftMs()));
    slot.running = undefined;
    note(args, result);
    if (result.code === 0) {
      for (const repeated of await inTime(slot.repeatsEnd(leftMs()))) note(args, repeated);
      return givenUp;
    }
    await sleep(repeatMs);
  }
}

function describeFailure(args: readonly string[], stdout: string, stderr: string): GivenUp {
  const command = args.slice(0, 2).join(" ");
  try {
    const { error } = failedCommand.parse(JSON.parse(stdout));
    return { command, ...error };
  } catch {
    return { command, code: "none", message: stderr.slice(-500) };
  }
}
