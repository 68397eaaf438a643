import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { errorCodes, TrommelError, type ErrorCode } from "@trommel/common";
import type { Logger } from "pino";
import { z } from "zod";
import { stopProcess } from "./embedded-redis.js";

/** A worker that ends without being asked is started again, this often within {@link restartWindowMs}. */
const maxRestarts = 20;
const restartWindowMs = 60_000;
/** A command that ends does not wait for shards under way: they are handed back, and done again when it is resumed. */
const drainSeconds = 3;
const stopTimeoutMs = 15_000;

/** What a worker tells over its channel: that it serves, or why it cannot. */
const workerMessage = z.object({
  ready: z.boolean().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

export interface WorkerSpawnOptions {
  readonly count: number;
  readonly redisUrl: string;
  readonly storeUrl: string;
  /** Flags of `trommel worker` that are passed on. */
  readonly flags: readonly string[];
  readonly log: Logger;
}

/**
 * Worker processes of a local cluster, supervised: one that dies is replaced. They hold an IPC channel to
 * us and end by themselves when it closes, so that none outlives a command that was killed.
 */
export class WorkerProcesses {
  readonly #options: WorkerSpawnOptions;
  readonly #children = new Set<ChildProcess>();
  readonly #starting: Promise<void>[] = [];
  #error: { readonly code: string; readonly message: string } | undefined;
  readonly #restarts: number[] = [];
  #stopping = false;

  constructor(options: WorkerSpawnOptions) {
    this.#options = options;
    for (let i = 0; i < options.count; i += 1) this.#start();
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
    await Promise.all([...this.#children].map((child) => stopProcess(child, stopTimeoutMs)));
  }

  #start(): void {
    const cli = fileURLToPath(new URL("../../bin/trommel.js", import.meta.url));
    const { redisUrl, storeUrl, flags, log } = this.#options;
    const child = fork(cli, ["worker", "--embedded", "--drain-seconds", String(drainSeconds), ...flags], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      // The Redis URL travels by environment: argument lists are public on a machine, and it may hold a password.
      // glibc's per-thread arenas keep freed picture buffers; two of them keep memory flat.
      env: { MALLOC_ARENA_MAX: "2", ...process.env, TROMMEL_REDIS_URL: redisUrl, TROMMEL_STORE: storeUrl },
    });
    this.#children.add(child);
    let served = false;
    let settled = (): void => undefined;
    this.#starting.push(new Promise<void>((resolve) => (settled = resolve)));
    child.on("message", (message) => {
      const told = workerMessage.safeParse(message);
      if (!told.success) return;
      if (told.data.ready === true) {
        served = true;
        settled();
      }
      this.#error = told.data.error ?? this.#error;
    });
    child.once("exit", (code, signal) => {
      this.#children.delete(child);
      settled();
      if (this.#stopping) return;
      // One that never served cannot be helped by another start.
      if (!served) return;
      log.warn({ pid: child.pid, code, signal, reason: this.#error?.message }, "a worker ended");
      if (this.#mayRestart()) this.#start();
    });
  }

  /** @throws TrommelError where every worker has given up, with what the last one said */
  check(): void {
    if (this.#children.size > 0) return;
    const { code, message } = this.#error ?? {
      code: "internal",
      message: "failed to keep a worker running: each one ended without a word",
    };
    throw new TrommelError(code in errorCodes ? (code as ErrorCode) : "internal", message, {
      retryable: false,
    });
  }

  #mayRestart(): boolean {
    const now = performance.now();
    this.#restarts.push(now);
    const recent = this.#restarts.filter((at) => now - at < restartWindowMs).length;
    if (recent > maxRestarts)
      this.#options.log.error({ recent }, "workers keep ending; none is started again");
    return recent <= maxRestarts;
  }
}
