import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort } from "../../support/servers/redis-server.js";
import { waitUntil } from "../../support/process/wait-until.js";

/** A redis-server that writes down what it holds, and can be killed and come back with or without it. */
export class RedisProcess {
  readonly url: string;
  readonly #port: number;
  readonly #folder: string;
  #child: ChildProcess | undefined;
  /** How often it was killed or emptied. */
  outages = 0;

  private constructor(port: number, folder: string) {
    this.#port = port;
    this.#folder = join(folder, "redis");
    this.url = `redis://127.0.0.1:${port}`;
  }

  static async start(folder: string): Promise<RedisProcess> {
    const redis = new RedisProcess(await freePort(), folder);
    await redis.#start();
    return redis;
  }

  get isUp(): boolean {
    return this.#child !== undefined;
  }

  /** Without a warning, as a machine goes. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    this.outages += 1;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async comeBack(options: { readonly empty: boolean }): Promise<void> {
    if (options.empty) await rm(this.#folder, { recursive: true, force: true });
    await this.#start();
  }

  async flush(): Promise<void> {
    const redis = new Redis(this.url);
    this.outages += 1;
    await redis.flushall();
    redis.disconnect();
  }

  async #start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const child = spawn(
      process.env["TROMMEL_REDIS_SERVER"] ?? "redis-server",
      [
        ...["--port", String(this.#port), "--bind", "127.0.0.1", "--dir", this.#folder],
        ...["--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction"],
      ],
      { stdio: "ignore" },
    );
    const killAtExit = (): void => void child.kill("SIGKILL");
    process.once("exit", killAtExit);
    child.once("exit", () => process.off("exit", killAtExit));
    const redis = new Redis(this.url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    redis.on("error", () => undefined);
    await waitUntil("redis-server answers", async () => (await redis.ping().catch(() => "")) === "PONG");
    redis.disconnect();
    this.#child = child;
  }
}
