import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { TrommelError } from "@trommel/common";
import { checkRedis, connectRedis } from "@trommel/common/redis";

import { withTimeout } from "@trommel/common/waiting";
import { makeRedisFolder } from "./redis-folder.js";

export interface EmbeddedRedis {
  readonly url: string;
  /** The id of the current process. */
  readonly pid: number;
  /** @throws TrommelError `unavailable` if it keeps ending by itself */
  check(): void;
  stop(): Promise<void>;
}

const startTimeoutMs = 10_000;
const stopTimeoutMs = 3_000;
/** A server that ends unexpectedly is restarted at most this often within {@link restartWindowMs}. */
const maxRestarts = 10;
const restartWindowMs = 60_000;

/**
 * Starts a redis-server of our own. Without a port it listens on a Unix socket in a private folder and nowhere
 * else; with one, on loopback. It keeps nothing on disk: Redis is disposable.
 * @throws TrommelError `not-found` if there is no redis-server, `unavailable` if it does not start
 */
export async function startEmbeddedRedis(
  options: {
    readonly port?: number;
    /** A path, or a name on the PATH. @default `TROMMEL_REDIS_SERVER`, else redis-server */
    readonly binary?: string;
    /** Called with each remark for people. @default nobody is */
    readonly notice?: (line: string) => void;
  } = {},
): Promise<EmbeddedRedis> {
  const { binary = process.env["TROMMEL_REDIS_SERVER"] ?? "redis-server", notice = () => undefined } =
    options;
  const { folder, socket } = await makeRedisFolder();
  const address =
    options.port === undefined
      ? ["--port", "0", "--unixsocket", socket, "--unixsocketperm", "700"]
      : ["--port", String(options.port), "--bind", "127.0.0.1"];
  const url = options.port === undefined ? `unix:${socket}` : `redis://127.0.0.1:${options.port}`;
  const flags = ["--dir", folder, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"];
  const start = (): ChildProcess =>
    spawn(binary, [...address, ...flags], { stdio: ["ignore", "pipe", "pipe"], detached: true });
  const server = new Supervised(start, notice);
  // A command that exits at once, such as at a second Ctrl-C, takes its server with it.
  const killAtExit = (): void => {
    server.child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", killAtExit);
  const stop = async (): Promise<void> => {
    process.off("exit", killAtExit);
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await waitUntilUp(server.child, binary, url);
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  server.supervise();
  return {
    url,
    get pid() {
      return server.child.pid ?? 0;
    },
    check: () => server.check(),
    stop,
  };
}

/**
 * A server that ends unexpectedly is restarted, empty and at the same address: connected clients reconnect by
 * themselves, and a command that follows a run queues it again.
 */
class Supervised {
  child: ChildProcess;
  readonly #start: () => ChildProcess;
  readonly #notice: (line: string) => void;
  readonly #restarts: number[] = [];
  #stopping = false;

  constructor(start: () => ChildProcess, notice: (line: string) => void) {
    this.#start = start;
    this.#notice = notice;
    this.child = start();
  }

  supervise(): void {
    const { child } = this;
    // An embedded server must not keep a finished command alive.
    child.unref();
    child.once("error", () => undefined);
    child.once("exit", (code, signal) => {
      if (this.#stopping || !this.#mayRestart()) return;
      this.#notice(`the embedded redis-server ended (${code ?? signal}); restarting it`);
      this.child = this.#start();
      for (const stream of [this.child.stdout, this.child.stderr]) stream?.resume();
      this.supervise();
    });
  }

  check(): void {
    const { exitCode, signalCode } = this.child;
    if (exitCode === null && signalCode === null) return;
    throw new TrommelError(
      "unavailable",
      `the embedded redis-server keeps ending (${exitCode ?? signalCode}); what is done is kept, and 'trommel resume' continues it`,
      { retryable: false },
    );
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await stopProcess(this.child);
  }

  #mayRestart(): boolean {
    const now = performance.now();
    this.#restarts.push(now);
    return this.#restarts.filter((at) => now - at < restartWindowMs).length <= maxRestarts;
  }
}

async function waitUntilUp(child: ChildProcess, binary: string, url: string): Promise<void> {
  let output = "";
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString("utf8")).slice(-2000);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  let failure: TrommelError | undefined;
  child.once("error", (cause) => {
    failure = new TrommelError(
      "not-found",
      `cannot start ${binary}: ${cause.message}. Install redis-server (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis), name one in TROMMEL_REDIS_SERVER, or give --redis`,
      { cause },
    );
  });
  child.once("exit", (code, signal) => {
    failure ??= new TrommelError(
      "unavailable",
      `cannot start ${binary}: it ended with ${code ?? signal ?? "no code"}: ${output.trim().split("\n").slice(-3).join(" | ")}`,
      { retryable: false },
    );
  });
  const deadline = performance.now() + startTimeoutMs;
  for (;;) {
    if (failure !== undefined) throw failure;
    try {
      await checkRedis(url, 1000);
      await checkOwner(url, child);
      return;
    } catch (thrown) {
      const foreign = thrown instanceof TrommelError && thrown.code === "conflict";
      if (foreign || performance.now() > deadline) throw thrown;
    }
    await sleep(25);
  }
}

/** Another server may hold the port that ours could not take. @throws TrommelError `conflict` */
async function checkOwner(url: string, child: ChildProcess): Promise<void> {
  const redis = connectRedis(url);
  try {
    const info = await withTimeout({ timeoutMs: 1000, doing: "ask Redis who it is" }, redis.info("server"));
    const pid = Number(/^process_id:(\d+)/m.exec(info)?.[1]);
    if (pid === child.pid) return;
    throw new TrommelError(
      "conflict",
      `cannot start redis-server at ${url}: another one (process ${pid}) is there. Choose another --port, or use it with --redis ${url}`,
    );
  } finally {
    redis.disconnect();
  }
}

/** SIGTERM, then SIGKILL; only ever to the process that we started. */
export async function stopProcess(child: ChildProcess, timeoutMs = stopTimeoutMs): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  await exited;
  clearTimeout(timer);
}
