import { fork, type ChildProcess } from "node:child_process";
import { TrommelError } from "@trommel/common";
import type { DecodedImage } from "./decode-image.js";
import type { DecodeReply, DecodeRequest } from "./decode-process.js";

/** Starts in a row that come to nothing before the machine is said to be at fault. */
const startsAtMost = 3;
/** A process that does not keep the decoder's own bound is killed after so many times that. */
const boundsAtMost = 2;
/** How long a process may take to come up. */
const startTimeoutMs = 60_000;

export type ChildOutcome =
  | { readonly kind: "decoded"; readonly image: DecodedImage }
  /** The process ended while it had the file. */
  | { readonly kind: "died" }
  /** It did not even answer that the file takes too long, and was killed. */
  | { readonly kind: "hung" };

type Ended = { readonly kind: "died" | "hung" };

/** A process that decodes one file at a time, started when it is needed and again after each that ended. */
export class DecodeChild {
  #child: RunningChild | undefined;
  #stopped: Error | undefined;

  /**
   * @param before called when the process is ready, right before it is given the file
   * @throws TrommelError `exhausted`, retryable, where no process can be started; `internal` where the decoder itself
   *   is broken; what `stop` was given
   */
  async decode(request: DecodeRequest, before: () => Promise<void>): Promise<ChildOutcome> {
    const child = await this.#ready();
    await before();
    this.#throwIfStopped();
    const reply = await child.ask(request, boundsAtMost * request.timeoutMs);
    this.#throwIfStopped();
    if (reply.kind === "died" || reply.kind === "hung") return reply;
    if (reply.kind === "decoded") {
      const { image } = reply;
      // A thread of it is still at the file.
      if (!image.ok && image.reason === "timed-out") await child.kill();
      return { kind: "decoded", image };
    }
    const why = reply.kind === "failed" ? reply.message : `its decoder answered ${reply.kind}`;
    throw new TrommelError("internal", why);
  }

  /** Kills the process. @param reason what a call under way throws */
  async stop(reason: Error): Promise<void> {
    this.#stopped ??= reason;
    await this.#child?.kill();
  }

  async #ready(): Promise<RunningChild> {
    for (let starts = 0; starts < startsAtMost; starts += 1) {
      this.#throwIfStopped();
      if (this.#child?.isRunning === true) return this.#child;
      this.#child = new RunningChild();
      const reply = await this.#child.next(startTimeoutMs);
      if (reply.kind === "ready") {
        this.#throwIfStopped();
        return this.#child;
      }
    }
    this.#throwIfStopped();
    throw new TrommelError(
      "exhausted",
      `failed to start a process that decodes: ${startsAtMost} ended before they were ready. See that the machine has memory and processes left`,
    );
  }

  #throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped;
  }
}

/** One process from its start to its end; it has one question at a time. */
class RunningChild {
  readonly #process: ChildProcess;
  readonly #gone: Promise<void>;
  #answer: (reply: DecodeReply | Ended) => void = () => undefined;
  isRunning = true;

  constructor() {
    this.#process = fork(new URL("./decode-process.js", import.meta.url), [], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: withoutCredentials(process.env),
    });
    this.#process.on("message", (reply: DecodeReply) => this.#answer(reply));
    this.#gone = new Promise((resolve) => {
      const end = (): void => {
        this.isRunning = false;
        this.#answer({ kind: "died" });
        resolve();
      };
      // The channel closes after its last message was delivered, which cannot be said of the exit.
      this.#process.once("disconnect", end);
      // It could not be started, or a message could not be sent.
      this.#process.once("error", end);
    });
  }

  async ask(request: DecodeRequest, timeoutMs: number): Promise<DecodeReply | Ended> {
    if (!this.isRunning) return { kind: "died" };
    const reply = this.next(timeoutMs);
    // A failure to send is told by the channel's end.
    this.#process.send(request, () => undefined);
    return await reply;
  }

  /** The next message, or how it ended without one. */
  async next(timeoutMs: number): Promise<DecodeReply | Ended> {
    let timer: NodeJS.Timeout | undefined;
    const reply = await new Promise<DecodeReply | Ended>((resolve) => {
      this.#answer = resolve;
      timer = setTimeout(() => resolve({ kind: "hung" }), timeoutMs);
      if (!this.isRunning) resolve({ kind: "died" });
    });
    clearTimeout(timer);
    if (reply.kind === "died" || reply.kind === "hung") await this.kill();
    return reply;
  }

  /** Resolves when it is gone, so that none is left behind. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#gone;
  }
}

/** A process that reads hostile files needs no keys to a bucket. */
function withoutCredentials(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(AWS|TROMMEL)_/.test(name)));
}
