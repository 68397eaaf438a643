import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { waitUntil } from "../process/wait-until.js";

export interface TestRedis {
  readonly port: number;
  /** With the password and, where one is named, the database. */
  url(database?: number): string;
  /** The same server for another user. */
  urlOf(user: string, password: string): string;
  stop(): Promise<void>;
}

/** A real redis-server on a free port of 127.0.0.1 that keeps nothing on disk. */
export async function startRedisServer(
  options: {
    readonly password?: string;
    /** @default one that is free */
    readonly port?: number;
    /** More flags of the server. */
    readonly flags?: readonly string[];
    /** @default `TROMMEL_REDIS_SERVER`, else redis-server */
    readonly binary?: string;
  } = {},
): Promise<TestRedis> {
  const port = options.port ?? (await freePort());
  const folder = await mkdtemp(join(tmpdir(), "trommel-test-redis-"));
  const { password } = options;
  const child = spawn(
    options.binary ?? process.env["TROMMEL_REDIS_SERVER"] ?? "redis-server",
    [
      ...["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"],
      ...["--maxmemory-policy", "noeviction", ...(password === undefined ? [] : ["--requirepass", password])],
      ...(options.flags ?? []),
    ],
    { stdio: "ignore" },
  );
  const url = (database?: number): string => {
    const login = password === undefined ? "" : `:${encodeURIComponent(password)}@`;
    return `redis://${login}127.0.0.1:${port}${database === undefined ? "" : `/${database}`}`;
  };
  const redis = new Redis(url(), { retryStrategy: () => 20, maxRetriesPerRequest: null });
  redis.on("error", () => undefined);
  await waitUntil("redis-server answers", async () => (await redis.ping()) === "PONG");
  redis.disconnect();
  return {
    port,
    url,
    urlOf: (user, word) => `redis://${user}:${encodeURIComponent(word)}@127.0.0.1:${port}`,
    stop: async () => {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A port that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
