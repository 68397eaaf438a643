import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connectRedis } from "#common/jobs/connection/connect-redis";
import { claimFeature, releaseFeature } from "#common/jobs/feature-claim";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";
import { waitUntil } from "../../support/process/wait-until.js";

let server: TestRedis;
let redis: ReturnType<typeof connectRedis>;

before(async () => {
  server = await startRedisServer();
  redis = connectRedis(server.url());
});
after(async () => {
  redis.disconnect();
  await server.stop();
});

const storeUrl = "file:///store";
const claim = (jobId: string, featureKey: string, store = storeUrl, ttlMs?: number): Promise<boolean> =>
  claimFeature(redis, { storeUrl: store, featureKey, jobId }, ttlMs);

describe("claimFeature on a real Redis", () => {
  it("gives a feature shard to one job, which may ask again", async () => {
    assert.equal(await claim("a.1.extract.0", "features/x/1"), true);
    assert.equal(await claim("b.1.extract.0", "features/x/1"), false);
    assert.equal(await claim("a.1.extract.0", "features/x/1"), true);
  });

  it("is given up by the job that has it, and by no other", async () => {
    const release = (jobId: string): Promise<void> =>
      releaseFeature(redis, { storeUrl, featureKey: "features/x/4", jobId });
    assert.equal(await claim("a.1.extract.4", "features/x/4"), true);
    await release("b.1.extract.4");
    assert.equal(await claim("b.1.extract.4", "features/x/4"), false);
    await release("a.1.extract.4");
    assert.equal(await claim("b.1.extract.4", "features/x/4"), true);
  });

  it("tells shards and stores apart", async () => {
    assert.equal(await claim("b.1.extract.1", "features/x/2"), true);
    assert.equal(await claim("b.1.extract.0", "features/x/1", "s3://store"), true);
  });

  it("lapses by itself, later where it was taken again", async () => {
    assert.equal(await claim("a.1.extract.3", "features/x/3", storeUrl, 100), true);
    assert.equal(await claim("a.1.extract.3", "features/x/3", storeUrl, 100_000), true);
    const key = `trommel:making:${storeUrl} features/x/3`;
    assert.ok((await redis.pttl(key)) > 1000);
    assert.equal(await claim("a.1.extract.3", "features/x/3", storeUrl, 20), true);
    await waitUntil("the claim lapses", () => claim("b.1.extract.3", "features/x/3"));
  });

  it("keeps nobody from working where Redis is full", async () => {
    await redis.config("SET", "maxmemory", "1");
    assert.equal(await claim("c.1.extract.0", "features/x/9"), true);
    await redis.config("SET", "maxmemory", "0");
  });
});
