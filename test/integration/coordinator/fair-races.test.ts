import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it, mock } from "node:test";
import { LiveRun, queuePrefix } from "@trommel/common";
import { beginShare } from "@trommel/common/redis";
import type { JobProducer } from "@trommel/coordinator/run-control";
import { Job } from "bullmq";
import { countOf, SharedQueue } from "../../support/servers/shared-queue.js";

/** Shares of two coordinators of one cluster, one of which waits, dies or repeats its work at a given point. */

/** From here on the origin of tags moves: half of the priorities that BullMQ takes. */
const far = 2 ** 20;

let shared: SharedQueue;
let other: JobProducer;

before(async () => {
  shared = await SharedQueue.start();
  other = shared.addProducer();
});
after(() => shared.stop());
beforeEach(async () => {
  await shared.producer.redis.flushall();
});
afterEach(() => mock.restoreAll());

async function setTime(now: number): Promise<void> {
  await shared.producer.redis.hset(`${queuePrefix}:fair:score`, "now", now);
}

/** Calls something between a coordinator's first script, which reserves places, and what it does with the answer. */
function afterReserving(producer: JobProducer, then: () => Promise<void>): void {
  const { redis } = producer;
  const original = redis.eval.bind(redis) as (...args: unknown[]) => Promise<unknown>;
  let calls = 0;
  mock.method(redis, "eval", async (...args: unknown[]) => {
    const answer = await original(...args);
    calls += 1;
    if (calls === 1) await then();
    return answer;
  });
}

/** Calls something before the change of a job's priority. @param then with the number of the change */
function beforeMoving(then: (change: number, job: Job) => Promise<void>): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its job below
  const original = Job.prototype.changePriority;
  let changes = 0;
  mock.method(Job.prototype, "changePriority", async function (this: Job, options: { priority: number }) {
    changes += 1;
    await then(changes, this);
    await original.call(this, options);
  });
}

describe("an origin of tags that moves", () => {
  it("is that of jobs whose places another coordinator had reserved before", async () => {
    await setTime(far - 1);
    afterReserving(other, async () => {
      await shared.score("first", 0, 1);
      await shared.take(1);
      await shared.score("second", 0, 4);
    });
    await shared.score("slow", 0, 4, { producer: other });
    assert.equal(countOf(await shared.take(4), "slow"), 2);
  });

  it("is that of jobs which a coordinator had queued when it died, once their plan is repeated", async () => {
    await setTime(far - 1);
    const dead = new Error("the coordinator dies");
    let scripts = 0;
    const { redis } = other;
    const original = redis.eval.bind(redis) as (...args: unknown[]) => Promise<unknown>;
    mock.method(redis, "eval", async (...args: unknown[]) => {
      scripts += 1;
      if (scripts > 1) throw dead;
      const answer = await original(...args);
      await shared.score("first", 0, 1);
      await shared.take(1);
      await shared.score("second", 0, 4);
      return answer;
    });
    await assert.rejects(shared.score("slow", 0, 4, { producer: other }), dead);
    mock.restoreAll();
    await shared.score("slow", 0, 4);
    assert.equal(countOf(await shared.take(4), "slow"), 2);
  });

  it("is not moved again by a job that was taken before and begins afterwards", async () => {
    await setTime(far - 1);
    await shared.score("first", 0, 3);
    const job = await shared.next();
    await shared.take(2);
    await shared.score("second", 0, 20);
    await beginShare(shared.producer.redis, job.data);
    await shared.score("third", 0, 1);
    assert.equal(countOf(await shared.take(3), "third"), 1);
  });

  it("is that of jobs which wait for their next try", async () => {
    await setTime(far - 1);
    await shared.score("first", 0, 3);
    const job = await shared.begin();
    await job.moveToDelayed(Date.now() + 3_600_000, "token");
    await shared.take(2);
    await shared.score("second", 0, 20);
    await (await shared.queue.getJob(job.id ?? ""))?.promote();
    assert.equal(countOf(await shared.take(2), "first"), 1);
  });

  it("is that of all jobs although the coordinator that moved it died before it had moved them", async () => {
    await setTime(far - 1);
    await shared.score("first", 0, 6);
    await shared.take(2);
    const dead = new Error("the coordinator dies");
    beforeMoving((change) => (change === 2 ? Promise.reject(dead) : Promise.resolve()));
    await assert.rejects(shared.score("second", 0, 4, { producer: other }), dead);
    mock.restoreAll();
    await shared.score("third", 0, 4);
    assert.equal(countOf(await shared.take(5), "first"), 2);
    assert.equal(await shared.producer.redis.hget(`${queuePrefix}:fair:score`, "unmoved"), null);
  });

  it("needs nothing of jobs that are done before they are moved", async () => {
    await setTime(far - 1);
    await shared.score("first", 0, 4);
    await shared.take(2);
    beforeMoving(async (_, job) => job.remove());
    await shared.score("second", 0, 2);
    assert.deepEqual(await shared.take(2), ["second", "second"]);
  });
});

describe("a plan that is repeated", () => {
  it("has the places that were reserved for jobs before its coordinator died", async () => {
    const dead = new Error("the coordinator dies");
    afterReserving(other, () => Promise.reject(dead));
    await assert.rejects(shared.score("first", 0, 100, { producer: other }), dead);
    await shared.score("first", 0, 100);
    await shared.score("second", 0, 20);
    assert.equal(countOf(await shared.take(20), "second"), 10);
  });

  it("pays for no job that is queued already, and for none that is done", async () => {
    await shared.score("first", 0, 20);
    await shared.take(10);
    const liveRun = new LiveRun(shared.producer.redis, "first");
    for (let unit = 0; unit < 10; unit += 1) await liveRun.countDone(1, "score", unit);
    await shared.score("first", 0, 20, { producer: other });
    await shared.score("first", 20, 60);
    await shared.score("second", 0, 60);
    // Ten of them are queued again and end at once; the others take turns.
    const seconds = countOf(await shared.take(70), "second");
    assert.ok(seconds >= 29 && seconds <= 31, `${seconds} of 60`);
  });
});
