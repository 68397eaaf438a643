import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { queuePrefix } from "@trommel/common";
import { costs } from "@trommel/common/jobs";
import { beginShare, jobsAhead } from "@trommel/common/redis";
import { countOf, SharedQueue } from "../../support/servers/shared-queue.js";

/** Which run a worker takes a job of, with a real Redis and BullMQ; a job is over as soon as the test has taken it. */

let shared: SharedQueue;

before(async () => {
  shared = await SharedQueue.start();
});
after(() => shared.stop());
beforeEach(async () => {
  await shared.producer.redis.flushall();
});

describe("shares of a queue", () => {
  it("begins a small scoring at once next to one that has queued hundreds, and then alternates", async () => {
    await shared.score("large", 0, 300);
    assert.deepEqual(new Set(await shared.take(40)), new Set(["large"]));
    await shared.score("small", 0, 5);
    const taken = await shared.take(12);
    assert.ok(taken.indexOf("small") <= 1, taken.join());
    assert.equal(countOf(taken.slice(0, 11), "small"), 5, taken.join());
  });

  it("shares equally between equal ones, whatever the order in which their jobs are queued", async () => {
    await shared.score("first", 0, 100);
    await shared.take(10);
    for (let from = 0; from < 100; from += 20) await shared.score("second", from, from + 20);
    await shared.score("first", 100, 150);
    const taken = await shared.take(120);
    for (let at = 0; at < 120; at += 20) {
      const seconds = countOf(taken.slice(at, at + 20), "second");
      assert.ok(seconds >= 9 && seconds <= 11, `${seconds} of 20 from ${at}`);
    }
  });

  it("gives high four times as much as normal, and sixteen times as much as low, which still comes on", async () => {
    await shared.score("low", 0, 100, { cost: costs.low });
    await shared.score("normal", 0, 100, { cost: costs.normal });
    await shared.score("high", 0, 100, { cost: costs.high });
    const taken = await shared.take(105);
    // 80 : 20 : 5, by 16 : 4 : 1.
    const [high, normal, low] = ["high", "normal", "low"].map((id) => countOf(taken, id));
    assert.ok(Math.abs((high ?? 0) - 80) <= 2 && Math.abs((normal ?? 0) - 20) <= 2, taken.join());
    assert.ok((low ?? 0) >= 5, taken.join());
  });

  it("lets nothing starve while new scorings come with every job", async () => {
    await shared.score("patient", 0, 20);
    let waited = 0;
    let begun = 0;
    for (let at = 0; at < 120; at += 1) {
      await shared.score(`new-${at}`, 0, 1);
      const [id] = await shared.take(1);
      waited = id === "patient" ? 0 : waited + 1;
      begun += id === "patient" ? 1 : 0;
      assert.ok(waited <= costs.normal + 1, `it waits for ${waited} jobs`);
    }
    assert.ok(begun >= 7, `${begun} of 120`);
  });

  it("counts from a new origin when tags have become large, and keeps the order of what waits", async () => {
    const start = 2 ** 20 - 5;
    await shared.producer.redis.hset(`${queuePrefix}:fair:score`, "now", start);
    await shared.score("first", 0, 4);
    const before = await shared.queue.getPrioritized();
    assert.deepEqual(
      before.map(({ priority }) => priority),
      [1, 17, 33, 49].map((offset) => start + offset),
    );
    assert.deepEqual(await shared.take(2), ["first", "first"]);
    await shared.score("second", 0, 2);
    const waiting = await shared.queue.getPrioritized();
    assert.ok(waiting.every(({ priority }) => priority < 100));
    assert.deepEqual(await shared.take(4), ["second", "first", "second", "first"]);
  });

  it("lets a job begin although Redis is full: shares must not stop the work", async () => {
    await shared.score("a", 0, 2);
    const job = await shared.next();
    await shared.producer.redis.config("SET", "maxmemory", "100kb");
    try {
      await assert.rejects(shared.producer.redis.set("x", "y"), /OOM/);
      await beginShare(shared.producer.redis, job.data);
    } finally {
      await shared.producer.redis.config("SET", "maxmemory", "0");
    }
    assert.deepEqual(await shared.take(1), ["a"]);
  });

  it("tells how many jobs of a run were begun before one, for the limit of a run", async () => {
    await shared.score("a", 0, 3);
    await shared.score("b", 0, 2);
    const jobs = [
      await shared.begin(),
      await shared.begin(),
      await shared.begin(),
      await shared.begin(),
      await shared.begin(),
    ];
    const ahead: Record<string, number[]> = { a: [], b: [] };
    for (const { data } of jobs) ahead[data.id]?.push(await jobsAhead(shared.producer.redis, data));
    assert.deepEqual(ahead, { a: [0, 1, 2], b: [0, 1] });
  });

  it("counts no jobs of a run whose id begins with that of another and a dot", async () => {
    for (const id of ["a.b", "a.1", "a.1.score"]) await shared.score(id, 0, 1);
    for (let i = 0; i < 3; i += 1) await shared.begin();
    await shared.score("a", 0, 2);
    const [first, second] = [await shared.begin(), await shared.begin()];
    assert.deepEqual([first.data.id, second.data.id], ["a", "a"]);
    assert.equal(await jobsAhead(shared.producer.redis, first.data), 0);
    assert.equal(await jobsAhead(shared.producer.redis, second.data), 1);
  });
});
