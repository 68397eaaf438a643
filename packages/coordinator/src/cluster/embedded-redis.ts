import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { checkRedis, connectRedis, TrommelError, withTimeout } from "@trommel/common";

export interface EmbeddedRedis {
  readonly url: string;
  readonly pid: number;
  /** @throws TrommelError `unavailable` where it has ended by itself */
  check(): void;
  stop(): Promise<void>;
}

const startTimeoutMs = 10_000;
const stopTimeoutMs = 3_000;

/**
 * Starts a redis-server of our own. Without a port it listens on a Unix socket in a private folder and nowhere
 * else; with one, on loopback. It keeps nothing on disk: Redis is disposable.
 * @throws TrommelError `not-found` where there is no redis-server, `unavailable` where it does not come up
 */
export async function startEmbeddedRedis(options: { readonly port?: number } = {}): Promise<EmbeddedRedis> {
  const binary = process.env["TROMMEL_REDIS_SERVER"] ?? "redis-server";
  const folder = await mkdtemp(join(tmpdir(), "trommel-redis-"));
  const socket = join(folder, "redis.sock");
  const address =
    options.port === undefined
      ? ["--port", "0", "--unixsocket", socket, "--unixsocketperm", "700"]
      : ["--port", String(options.port), "--bind", "127.0.0.1"];
  const url = options.port === undefined ? `unix:${socket}` : `redis://127.0.0.1:${options.port}`;
  const child = spawn(
    binary,
    [...address, "--dir", folder, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"],
    { stdio: ["ignore", "pipe", "pipe"], detached: true },
  );
  // A command that exits at once, such as at a second Ctrl-C, takes its server with it.
  const killAtExit = (): void => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", killAtExit);
  const stop = async (): Promise<void> => {
    process.off("exit", killAtExit);
    await stopProcess(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await waitUntilUp(child, binary, url);
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  // An embedded server must not keep a finished command alive.
  child.unref();
  const check = (): void => {
    if (child.exitCode === null && child.signalCode === null) return;
    throw new TrommelError(
      "unavailable",
      `the embedded redis-server ended (${child.exitCode ?? child.signalCode}); what is done is kept, and 'trommel resume' continues it`,
      { retryable: false },
    );
  };
  return { url, pid: child.pid ?? 0, check, stop };
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
      `failed to start ${binary}: ${cause.message}. Install redis-server (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis), name one in TROMMEL_REDIS_SERVER, or give --redis`,
      { cause },
    );
  });
  child.once("exit", (code, signal) => {
    failure ??= new TrommelError(
      "unavailable",
      `failed to start ${binary}: it ended with ${code ?? signal ?? "no code"}: ${output.trim().split("\n").slice(-3).join(" | ")}`,
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
    const info = await withTimeout(redis.info("server"), 1000, "ask Redis who it is");
    const pid = Number(/^process_id:(\d+)/m.exec(info)?.[1]);
    if (pid === child.pid) return;
    throw new TrommelError(
      "conflict",
      `failed to start redis-server at ${url}: another one (process ${pid}) is there. Choose another --port, or use it with --redis ${url}`,
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
