import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import { stopProcess } from "./embedded-redis.js";

/** A worker that ends without being asked is started again, this often within {@link restartWindowMs}. */
const maxRestarts = 20;
const restartWindowMs = 60_000;
/** Longer than a worker's own drain time. */
const stopTimeoutMs = 40_000;

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
  readonly #starting: Promise<unknown>[] = [];
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
    const child = fork(cli, ["worker", "--embedded", ...flags], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      // The Redis URL travels by environment: argument lists are public on a machine, and it may hold a password.
      // glibc's per-thread arenas keep freed picture buffers; two of them keep memory flat.
      env: { MALLOC_ARENA_MAX: "2", ...process.env, TROMMEL_REDIS_URL: redisUrl, TROMMEL_STORE: storeUrl },
    });
    this.#children.add(child);
    this.#starting.push(Promise.race([once(child, "message"), once(child, "exit")]));
    child.once("exit", (code, signal) => {
      this.#children.delete(child);
      if (this.#stopping) return;
      log.warn({ pid: child.pid, code, signal }, "a worker ended");
      if (code === workerRefusedExitCode) return;
      if (this.#mayRestart()) this.#start();
    });
  }

  /** True where every worker has given up. */
  get allGone(): boolean {
    return this.#children.size === 0;
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

/** A worker that cannot start as configured (no such device, no Redis) exits with this; starting it again is useless. */
export const workerRefusedExitCode = 2;
