import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { connectRedis } from "#common/jobs/connection/connect-redis";
import { startEmbeddedRedis } from "#trommel/cluster/embedded-redis";
import { isRunning, listeningSockets } from "../../support/process/processes.js";
import { freePort, startRedisServer } from "../../support/servers/redis-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { withVariables } from "../../support/process/variables.js";
import { waitUntil } from "../../support/process/wait-until.js";

describe("the embedded Redis", () => {
  it("listens on a socket that only its owner reaches, evicts nothing, and leaves nothing", async () => {
    const server = await startEmbeddedRedis();
    const socket = server.url.replace(/^unix:/, "");
    const redis = connectRedis(server.url);
    try {
      assert.equal(await redis.ping(), "PONG");
      assert.deepEqual(await redis.config("GET", "maxmemory-policy"), ["maxmemory-policy", "noeviction"]);
      assert.deepEqual(await listeningSockets(server.pid), []);
      assert.equal(statSync(socket).mode & 0o077, 0);
      assert.equal(statSync(dirname(socket)).mode & 0o077, 0);
    } finally {
      redis.disconnect();
      await server.stop();
    }
    assert.equal(await isRunning(server.pid), false);
    assert.equal(existsSync(dirname(socket)), false);
  });

  it("listens on loopback where a port is given", async () => {
    const port = await freePort();
    const server = await startEmbeddedRedis({ port });
    const redis = connectRedis(server.url);
    try {
      assert.equal(server.url, `redis://127.0.0.1:${port}`);
      const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
      assert.deepEqual(await listeningSockets(server.pid), [`0100007F:${hexPort}`]);
      assert.deepEqual(await redis.config("GET", "protected-mode"), ["protected-mode", "yes"]);
    } finally {
      redis.disconnect();
      await server.stop();
    }
  });

  it("removes the folder of a command that was killed with its server, and no other", async () => {
    const script = `
      const { startEmbeddedRedis } = await import(${JSON.stringify(import.meta.resolve("#trommel/cluster/embedded-redis"))});
      const { url, pid } = await startEmbeddedRedis();
      console.log(JSON.stringify({ url, pid }));
      setInterval(() => undefined, 1000);`;
    const parent = await temporaryFolder("redis");
    const start = async () => {
      const command = spawn(process.execPath, ["--input-type=module", "-e", script], {
        env: { ...process.env, TMPDIR: parent },
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [line] = (await once(command.stdout, "data")) as [Buffer];
      const { url, pid } = JSON.parse(line.toString()) as { url: string; pid: number };
      return { command, pid, folder: dirname(url.replace(/^unix:/, "")) };
    };
    const kill = async (pid: number): Promise<void> => {
      process.kill(pid, "SIGKILL");
      await waitUntil("it is killed", async () => ((await isRunning(pid)) ? undefined : true));
    };
    const [dead, alive] = [await start(), await start()];
    const foreign = join(parent, "trommel-redis-theirs");
    await mkdir(foreign);
    await writeFile(join(foreign, "owner"), "another_machine-1-1");
    const unnamed = join(parent, "trommel-redis-unnamed");
    await mkdir(unnamed);
    const left = async (): Promise<string[]> => {
      const again = await start();
      // The command first: it starts a server again that died.
      await kill(again.command.pid ?? 0);
      await kill(again.pid);
      await rm(again.folder, { recursive: true });
      return [dead.folder, alive.folder, foreign, unnamed].filter((folder) => existsSync(folder));
    };
    // Its server lives: those who are connected may still end in good order.
    await kill(dead.command.pid ?? 0);
    assert.deepEqual(await left(), [dead.folder, alive.folder, foreign, unnamed]);
    await kill(dead.pid);
    assert.deepEqual(await left(), [alive.folder, foreign, unnamed]);
    await kill(alive.command.pid ?? 0);
    await kill(alive.pid);
  });

  it("says which server it did not find, and how to get one", async () => {
    const restore = withVariables({ TROMMEL_REDIS_SERVER: "/nonexistent/redis-server" });
    try {
      await assert.rejects(startEmbeddedRedis(), {
        code: "not-found",
        message: /\/nonexistent\/redis-server.*apt-get install redis-server/,
      });
    } finally {
      restore();
    }
  });

  it("says that its port is taken", async () => {
    const other = await startRedisServer({ password: "another's" });
    try {
      await assert.rejects(startEmbeddedRedis({ port: other.port }), (error: Error) => {
        assert.match(error.message, new RegExp(String(other.port)));
        return true;
      });
    } finally {
      await other.stop();
    }
  });
});
