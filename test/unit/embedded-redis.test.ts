import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { connectRedis } from "@trommel/common";
import { startEmbeddedRedis } from "@trommel/coordinator/cluster/embedded-redis";
import { isRunning, listeningSockets } from "../support/processes.js";
import { freePort, startRedisServer } from "../support/redis-server.js";
import { withVariables } from "../support/variables.js";

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
