import { fork, type ChildProcess } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { errorCodes, TrommelError, type ErrorCode } from "@trommel/common";
import type { Logger } from "pino";
import { z } from "zod";
import { stopProcess } from "./embedded-redis.js";
import { restartAfter, soonMs } from "./restart-after.js";

/** A command that ends does not wait for shards in progress: they are handed back, and repeated on resume. */
const drainSeconds = 3;
const stopTimeoutMs = 15_000;

/** A worker's message over its channel: that it serves, that it received a job, or why it cannot serve. */
const workerMessage = z.object({
  ready: z.boolean().optional(),
  tookJob: z.boolean().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

export interface WorkerSpawnOptions {
  readonly count: number;
  readonly redisUrl: string;
  readonly storeUrl: string;
  /** Flags of `trommel worker` that are passed on. */
  readonly flags: readonly string[];
  readonly log: Logger;
  readonly output: WorkerOutput;
}

/** What becomes of what worker processes write: dropped, left on this process's streams, or given to a function. */
export type WorkerOutput = "drop" | "inherit" | ((text: string) => void);

/** Arguments of a Node.js that runs a text or tests: a worker is neither. */
const foreignArguments = /^(--input-type|--eval|--print|--test|--watch|-e|-p)/;

/**
 * Worker processes of a local cluster, supervised: one that dies is replaced, see {@link restartAfter}. They hold an IPC
 * channel to us and end by themselves when it closes, so that none outlives a command that was killed.
 */
export class WorkerProcesses {
  readonly #options: WorkerSpawnOptions;
  readonly #children = new Set<ChildProcess>();
  readonly #restarting = new Set<NodeJS.Timeout>();
  readonly #starting: Promise<void>[] = [];
  #error: { readonly code: string; readonly message: string } | undefined;
  #stopping = false;

  constructor(options: WorkerSpawnOptions) {
    this.#options = options;
    for (let i = 0; i < options.count; i += 1) this.#starting.push(this.#start(0, false));
  }

  get pids(): number[] {
    return [...this.#children].flatMap((child) => (child.pid === undefined ? [] : [child.pid]));
  }

  /** Resolves when each of the first workers serves its queues or has ended. */
  async ready(): Promise<void> {
    await Promise.all(this.#starting);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#restarting) clearTimeout(timer);
    await Promise.all([...this.#children].map((child) => stopProcess(child, stopTimeoutMs)));
  }

  /**
   * @param idleDeaths of this worker's predecessors in a row
   * @param servedBefore whether any of its predecessors served
   * @returns when it serves or has ended
   */
  #start(idleDeaths: number, servedBefore: boolean): Promise<void> {
    const child = this.#spawn();
    let served = servedBefore;
    let tookJob = false;
    const startedAt = performance.now();
    return new Promise((resolve) => {
      child.on("message", (message) => {
        const told = workerMessage.safeParse(message);
        if (!told.success) return;
        tookJob ||= told.data.tookJob ?? false;
        if (told.data.ready === true) {
          served = true;
          resolve();
        }
        this.#error = told.data.error ?? this.#error;
      });
      child.once("exit", (code, signal) => {
        this.#children.delete(child);
        resolve();
        if (this.#stopping) return;
        const { pid } = child;
        const atOnce = !tookJob && performance.now() - startedAt < soonMs;
        const deaths = atOnce ? idleDeaths + 1 : 0;
        const delayMs = restartAfter({ served, idleDeaths: deaths });
        const ended = { pid, code, signal, reason: this.#error?.message, startsAgainInMs: delayMs };
        if (served) this.#options.log.warn(ended, "a worker ended");
        if (delayMs !== undefined) this.#startLater(delayMs, deaths);
      });
    });
  }

  #startLater(delayMs: number, idleDeaths: number): void {
    const timer = setTimeout(() => {
      this.#restarting.delete(timer);
      void this.#start(idleDeaths, true);
    }, delayMs);
    this.#restarting.add(timer);
  }

  #spawn(): ChildProcess {
    const cli = fileURLToPath(new URL("../../bin/trommel.js", import.meta.url));
    const { redisUrl, storeUrl, flags, output } = this.#options;
    const stream = output === "drop" ? "ignore" : output === "inherit" ? "inherit" : "pipe";
    const child = fork(cli, ["worker", "--embedded", "--drain-seconds", String(drainSeconds), ...flags], {
      stdio: ["ignore", stream, stream, "ipc"],
      execArgv: process.execArgv.filter((argument) => !foreignArguments.test(argument)),
      // The Redis URL travels by environment: argument lists are public on a machine, and it may hold a password.
      // glibc's per-thread arenas keep freed image buffers; two of them keep memory flat.
      // libvips decodes on libuv's threads, four by default.
      env: {
        MALLOC_ARENA_MAX: "2",
        UV_THREADPOOL_SIZE: String(Math.max(4, availableParallelism())),
        ...process.env,
        TROMMEL_REDIS_URL: redisUrl,
        TROMMEL_STORE: storeUrl,
      },
    });
    if (typeof output === "function")
      for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", output);
    this.#children.add(child);
    return child;
  }

  /** @throws TrommelError where every worker has given up, with what the last one said */
  check(): void {
    if (this.#children.size + this.#restarting.size > 0) return;
    const { code, message } = this.#error ?? {
      code: "internal",
      message: "cannot keep a worker running: each one ended without a message",
    };
    throw new TrommelError(code in errorCodes ? (code as ErrorCode) : "internal", message, {
      retryable: false,
    });
  }
}
