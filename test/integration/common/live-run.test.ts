import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { LiveRun, stopReasonToThrow, TrommelError } from "@trommel/common";
import { connectRedis } from "#common/jobs/connection/connect-redis";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";

let server: TestRedis;
let redis: ReturnType<typeof connectRedis>;

before(async () => {
  server = await startRedisServer();
  redis = connectRedis(server.url(2));
});
after(async () => {
  redis.disconnect();
  await server.stop();
});

/** Opens the attempt after the one that the board has now. */
async function opened(liveRun: LiveRun, rootOf: (attempt: number) => string): Promise<number> {
  const attempt = await liveRun.open(rootOf, "file:///store", (await liveRun.state())?.attempt);
  assert.ok(attempt !== undefined);
  await liveRun.opened();
  return attempt;
}

describe("RunBoard on a real Redis", () => {
  it("counts a unit once, however often and by however many it is reported", async () => {
    const liveRun = new LiveRun(redis, "once");
    const attempt = await opened(liveRun, (number) => `root-${number}`);
    await liveRun.setTotal(attempt, "extract", 3, 12);
    const other = new LiveRun(redis, "once");
    await Promise.all(
      [0, 1, 0, 1, 0].map((unit, i) =>
        (i % 2 ? liveRun : other).countDone(attempt, "extract", unit, { images: 4, failed: 1, reused: 2 }),
      ),
    );
    assert.deepEqual(await liveRun.progress(attempt, "extract"), {
      ...{ stage: "extract", note: "", total: 3, done: 2 },
      ...{ imagesDone: 8, imagesTotal: 12, failedImages: 2, reusedImages: 4 },
    });
  });

  it("lets one of those that saw the same attempt end open the next, and says while its jobs are queued", async () => {
    const liveRuns = Array.from({ length: 8 }, () => new LiveRun(redis, "contended"));
    for (const seen of [undefined, 1]) {
      const tries = liveRuns.map((liveRun, i) =>
        liveRun.open((number) => `root-${number}-${i}`, "file:///store", seen),
      );
      const attempts = await Promise.all(tries);
      const winners = attempts.flatMap((attempt, i) => (attempt === undefined ? [] : [i]));
      assert.equal(winners.length, 1);
      const next = (seen ?? 0) + 1;
      const state = await liveRuns[0]?.state();
      assert.deepEqual(
        [state?.attempt, state?.rootJobId, state?.opening],
        [next, `root-${next}-${winners[0]}`, true],
      );
      await liveRuns[0]?.opened();
      assert.equal((await liveRuns[0]?.state())?.opening, false);
    }
  });

  it("opens each attempt with a clean board, and the one before is over", async () => {
    const liveRun = new LiveRun(redis, "attempts");
    assert.equal(await liveRun.state(), undefined);
    const first = await opened(liveRun, (number) => `root-${number}`);
    await liveRun.countDone(first, "gram", 0);
    await liveRun.cancel();
    await liveRun.fail(first, "gram", new TrommelError("corrupt", "failed to read"));
    assert.equal(await liveRun.isOver(first), true);
    const second = await opened(liveRun, (number) => `root-${number}`);
    assert.equal(second, first + 1);
    assert.deepEqual(await liveRun.state(), {
      attempt: second,
      rootJobId: `root-${second}`,
      cancelled: false,
      opening: false,
      error: undefined,
    });
    assert.equal((await liveRun.progress(second, "gram")).done, 0);
    assert.deepEqual([await liveRun.isOver(first), await liveRun.isOver(second)], [true, false]);
  });

  it("keeps the first error, for later ones follow from it", async () => {
    const liveRun = new LiveRun(redis, "errors");
    const attempt = await opened(liveRun, () => "root");
    await liveRun.fail(attempt + 1, "train", new TrommelError("internal", "of another attempt"));
    await liveRun.fail(attempt, "extract", new TrommelError("forbidden", "failed to read the bucket"));
    await liveRun.fail(attempt, "solve", new TrommelError("missing-input", "failed to read a gram"));
    const error = (await liveRun.state())?.error;
    assert.deepEqual(error, { code: "forbidden", message: "failed to read the bucket", stage: "extract" });
    assert.equal(error === undefined ? undefined : stopReasonToThrow(error).code, "forbidden");
  });

  it("cancels the attempt that runs, and says nothing of a run that Redis does not know", async () => {
    const liveRun = new LiveRun(redis, "cancelled");
    const attempt = await opened(liveRun, () => "root");
    assert.equal(await liveRun.isOver(attempt), false);
    await liveRun.cancel();
    assert.equal(await liveRun.isOver(attempt), true);
    assert.equal(await new LiveRun(redis, "unknown").isOver(1), false);
  });

  it("leaves no key without an end", async () => {
    const liveRun = new LiveRun(redis, "noted");
    await liveRun.setNote(await opened(liveRun, () => "root"), "bundle", "checking");
    for (const key of await redis.keys("trommel:run:*")) {
      assert.ok((await redis.ttl(key)) > 0, key);
    }
  });
});
