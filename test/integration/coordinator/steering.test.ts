import assert from "node:assert/strict";
import { after, before, describe, it, mock } from "node:test";
import { LiveRun, openStore, ReleaseStack, type ObjectStore } from "@trommel/common";
import { readSteering } from "@trommel/common/jobs";
import { JobProducer, steerSubject, type Subject } from "@trommel/coordinator/run-control";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { startRedisServer } from "../../support/servers/redis-server.js";

/** Two clients that steer one run at once: the second does all of it at a given point of the first. */

const releases = new ReleaseStack();
const folder = await temporaryFolder("steering");
let store: ObjectStore;
let first: JobProducer;
let second: JobProducer;

before(async () => {
  const redis = await startRedisServer();
  releases.add("redis", () => redis.stop());
  store = openStore(folder);
  first = new JobProducer(redis.url());
  releases.add("first", () => first.close());
  second = new JobProducer(redis.url());
  releases.add("second", () => second.close());
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

/** What steering needs of a subject: its kind and its id. */
function scoring(id: string): Subject {
  return { kind: "scoring", id } as Subject;
}

/** The store, except that something happens once, before the first write. */
function beforeFirstWrite(then: () => Promise<void>): ObjectStore {
  let writes = 0;
  return new Proxy(store, {
    get: (target, name) => {
      if (name === "put")
        return async (...args: Parameters<ObjectStore["put"]>) => {
          writes += 1;
          if (writes === 1) await then();
          return target.put(...args);
        };
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

describe("two changes at once", () => {
  it("both hold if one changes the priority and the other the limit", async () => {
    const subject = scoring("both");
    await steerSubject(store, subject, first, { priority: "low" });
    const racing = beforeFirstWrite(() => steerSubject(store, subject, second, { priority: "high" }));
    await steerSubject(racing, subject, first, { jobsAtMost: 2 });
    assert.deepEqual(await readSteering(store, subject), { priority: "high", jobsAtMost: 2 });
  });

  it("leave in Redis the limit that the store has", async () => {
    const subject = scoring("limit");
    const liveRun = new LiveRun(first.redis, subject.id);
    await liveRun.open(() => "limit.1.close", store.url, undefined);
    const original = first.redis.hset.bind(first.redis) as (...args: unknown[]) => Promise<number>;
    const hset = mock.method(first.redis, "hset", async (...args: unknown[]) => {
      if (hset.mock.callCount() === 0) await steerSubject(store, subject, second, { jobsAtMost: 3 });
      return original(...args);
    });
    await steerSubject(store, subject, first, { jobsAtMost: 2 });
    hset.mock.restore();
    assert.equal((await readSteering(store, subject)).jobsAtMost, 3);
    assert.equal((await liveRun.attemptState(1)).jobsAtMost, 3);
  });

  it("are counted, and none is overwritten", async () => {
    const subject = scoring("many");
    const limits = Array.from({ length: 8 }, (_, at) => at + 1);
    await Promise.all(limits.map((jobsAtMost) => steerSubject(store, subject, second, { jobsAtMost })));
    const keys: string[] = [];
    for await (const { key } of store.list("scorings/many/steering/")) keys.push(key);
    assert.deepEqual(
      keys,
      limits.map((at) => `scorings/many/steering/0000${at - 1}.json`),
    );
  });
});
