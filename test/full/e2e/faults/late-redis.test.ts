import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ReleaseStack } from "@trommel/common";
import { onlyJsonObject, RunningCli, trommel } from "../../../support/process/cli.js";
import { freePort, startRedisServer } from "../../../support/servers/redis-server.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

/** Services that are started before their Redis, as an orchestrator starts them. */

const folder = await temporaryFolder("late-redis");
const releases = new ReleaseStack();
const password = "sec:ret/1";
let port: number;
let env: Record<string, string>;

function start(...args: string[]): RunningCli {
  const service = new RunningCli(args, { env });
  releases.add(args.join(" "), () => service.stop());
  return service;
}

before(async () => {
  port = await freePort();
  env = {
    TROMMEL_REDIS_URL: `redis://:${encodeURIComponent(password)}@127.0.0.1:${port}`,
    TROMMEL_STORE: join(folder, "store"),
  };
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

describe("a service whose Redis is away when it starts", () => {
  it("ends with 0 when it is told to go while it waits", async () => {
    for (const service of [start("coordinator"), start("worker", "--threads", "1")]) {
      await service.says("waiting for Redis");
      service.kill("SIGTERM");
      assert.equal((await service.end(10_000)).code, 0);
    }
  });

  it("serves once Redis is there, and shows the password nowhere", async () => {
    const coordinator = start("coordinator");
    const worker = start("worker", "--threads", "1");
    for (const service of [coordinator, worker]) await service.says("waiting for Redis");
    const server = await startRedisServer({ password, port });
    releases.add("redis-server", () => server.stop());
    await coordinator.says("coordinator: redis");
    await worker.says("extract tune score reduce fold from redis://");
    for (const service of [coordinator, worker]) {
      service.kill("SIGTERM");
      const { code, stdout, stderr } = await service.end();
      assert.equal(code, 0, stderr);
      assert.equal(stderr.split("waiting for Redis").length - 1, 1, stderr);
      for (const secret of [password, encodeURIComponent(password)])
        assert.ok(!`${stdout}${stderr}`.includes(secret), "the password is shown");
    }
  });

  it("serves in the end where Redis goes away again while a worker starts", async () => {
    // The first connection is the command's look, the next ones are the worker's.
    let connections = 0;
    const between = createServer((client) => {
      connections += 1;
      if (connections === 2 || connections === 3) return void client.destroy();
      const redis = connect(port, "127.0.0.1");
      for (const socket of [client, redis]) socket.on("error", () => undefined);
      client.pipe(redis).pipe(client);
    }).listen(0, "127.0.0.1");
    await once(between, "listening");
    releases.add("the way to Redis", () => void between.close());
    const url = new URL(env["TROMMEL_REDIS_URL"] ?? "");
    url.port = String((between.address() as AddressInfo).port);
    const worker = start("worker", "--threads", "1", "--redis", url.href);
    await worker.says("extract tune score reduce fold from redis://");
    worker.kill("SIGTERM");
    const { code, stderr } = await worker.end();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /waiting for Redis.*Redis answers now/s);
  });

  it("ends at once where no waiting would help: Redis does not let it in", async () => {
    const url = `redis://:wr%2Fong@127.0.0.1:${port}`;
    for (const name of ["coordinator", "worker"]) {
      const { code, stdout, stderr } = await trommel([name, "--json"], {
        env: { ...env, TROMMEL_REDIS_URL: url },
      });
      assert.equal(code, 1, stderr);
      const { error } = onlyJsonObject(stdout) as { error: { code: string } };
      assert.equal(error.code, "forbidden");
      assert.ok(!/wr(%2F|\/)ong/.test(stdout + stderr), "the password is shown");
    }
  });
});
