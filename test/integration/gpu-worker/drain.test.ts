import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { connectRedis } from "#common/jobs/connection/connect-redis";
import { drain } from "#gpu-worker/worker/drain";
import { StopSignals } from "#gpu-worker/worker/stop-signals";
import type { Worker } from "bullmq";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";

let server: TestRedis;
before(async () => {
  server = await startRedisServer();
});
after(() => server.stop());

/** A queue that cannot be closed, as one whose commands were lost with a connection. */
const stuck = { close: () => new Promise<void>(() => undefined) } as unknown as Worker;
const stop = new StopSignals(true);

async function exitCode(disturb: (redis: ReturnType<typeof connectRedis>) => Promise<void>): Promise<number> {
  const redis = connectRedis(server.url());
  try {
    await redis.ping();
    const code = drain({ workers: [stuck], stop, redis, underWay: new Set(), drainMs: 100 });
    await disturb(redis);
    return await code;
  } finally {
    redis.disconnect();
  }
}

describe("a drain that cannot hand back", () => {
  it("has failed where Redis was there, and not where it was away meanwhile and is back", async () => {
    const codes = await Promise.all([
      exitCode(() => Promise.resolve()),
      exitCode(async (redis) => {
        redis.disconnect(true);
        await once(redis, "ready");
      }),
    ]);
    assert.deepEqual(codes, [1, 0]);
  });
});
