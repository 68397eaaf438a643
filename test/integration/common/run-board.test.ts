import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RunBoard, runErrorToThrow, TrommelError } from "@trommel/common";
import { connectRedis } from "@trommel/common/jobs/redis-connection";
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
async function opened(board: RunBoard, rootOf: (attempt: number) => string): Promise<number> {
  const attempt = await board.open(rootOf, "file:///store", (await board.state())?.attempt);
  assert.ok(attempt !== undefined);
  await board.opened();
  return attempt;
}

describe("RunBoard on a real Redis", () => {
  it("counts a unit once, however often and by however many it is reported", async () => {
    const board = new RunBoard(redis, "once");
    const attempt = await opened(board, (number) => `root-${number}`);
    await board.setTotal(attempt, "extract", 3, 12);
    const other = new RunBoard(redis, "once");
    await Promise.all(
      [0, 1, 0, 1, 0].map((unit, i) =>
        (i % 2 ? board : other).countDone(attempt, "extract", unit, { images: 4, failed: 1, reused: 2 }),
      ),
    );
    assert.deepEqual(await board.progress(attempt, "extract"), {
      ...{ stage: "extract", note: "", total: 3, done: 2 },
      ...{ imagesDone: 8, imagesTotal: 12, failedImages: 2, reusedImages: 4 },
    });
  });

  it("lets one of those that saw the same attempt end open the next, and says while its jobs are queued", async () => {
    const boards = Array.from({ length: 8 }, () => new RunBoard(redis, "contended"));
    for (const seen of [undefined, 1]) {
      const tries = boards.map((board, i) =>
        board.open((number) => `root-${number}-${i}`, "file:///store", seen),
      );
      const attempts = await Promise.all(tries);
      const winners = attempts.flatMap((attempt, i) => (attempt === undefined ? [] : [i]));
      assert.equal(winners.length, 1);
      const next = (seen ?? 0) + 1;
      const state = await boards[0]?.state();
      assert.deepEqual(
        [state?.attempt, state?.rootJobId, state?.opening],
        [next, `root-${next}-${winners[0]}`, true],
      );
      await boards[0]?.opened();
      assert.equal((await boards[0]?.state())?.opening, false);
    }
  });

  it("opens each attempt with a clean board, and the one before is over", async () => {
    const board = new RunBoard(redis, "attempts");
    assert.equal(await board.state(), undefined);
    const first = await opened(board, (number) => `root-${number}`);
    await board.countDone(first, "gram", 0);
    await board.cancel();
    await board.fail(first, "gram", new TrommelError("corrupt", "failed to read"));
    assert.equal(await board.isOver(first), true);
    const second = await opened(board, (number) => `root-${number}`);
    assert.equal(second, first + 1);
    assert.deepEqual(await board.state(), {
      attempt: second,
      rootJobId: `root-${second}`,
      cancelled: false,
      opening: false,
      error: undefined,
    });
    assert.equal((await board.progress(second, "gram")).done, 0);
    assert.deepEqual([await board.isOver(first), await board.isOver(second)], [true, false]);
  });

  it("keeps the first error, for later ones follow from it", async () => {
    const board = new RunBoard(redis, "errors");
    const attempt = await opened(board, () => "root");
    await board.fail(attempt + 1, "train", new TrommelError("internal", "of another attempt"));
    await board.fail(attempt, "extract", new TrommelError("forbidden", "failed to read the bucket"));
    await board.fail(attempt, "solve", new TrommelError("missing-input", "failed to read a gram"));
    const error = (await board.state())?.error;
    assert.deepEqual(error, { code: "forbidden", message: "failed to read the bucket", stage: "extract" });
    assert.equal(error === undefined ? undefined : runErrorToThrow(error).code, "forbidden");
  });

  it("cancels the attempt that runs, and says nothing of a run that Redis does not know", async () => {
    const board = new RunBoard(redis, "cancelled");
    const attempt = await opened(board, () => "root");
    assert.equal(await board.isOver(attempt), false);
    await board.cancel();
    assert.equal(await board.isOver(attempt), true);
    assert.equal(await new RunBoard(redis, "unknown").isOver(1), false);
  });

  it("leaves no key without an end", async () => {
    const board = new RunBoard(redis, "noted");
    await board.setNote(await opened(board, () => "root"), "bundle", "checking");
    for (const key of await redis.keys("trommel:run:*")) {
      assert.ok((await redis.ttl(key)) > 0, key);
    }
  });
});
