import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import { openStore } from "@trommel/common";
import { ClusterMetrics } from "@trommel/common/metrics";
import { openTrommel } from "#trommel/index";
import { Access } from "#trommel/server/access/access";
import { Caches } from "#trommel/server/answers/caches";
import { Poller } from "#trommel/server/overview/poller";
import { Roots } from "#trommel/server/roots";
import type { ServerContext } from "#trommel/server/route";
import { buildServer } from "#trommel/server/server";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores } from "../../../support/runs/written-scores.js";
import { testToken } from "../../../support/servers/dashboard.js";
import { waitUntil } from "../../../support/process/wait-until.js";

/** The server without a socket, on a store that this test slows down. */

const folder = await temporaryFolder("dashboard-limits");
const location = join(folder, "store");
await writeScores(
  { classes: ["cat", "dog"], source: "file:///nowhere", rows: [], location: join(folder, "a"), name: "a" },
  openStore(location),
);
const trommel = await openTrommel({ store: location });
const poller = new Poller(trommel, () => Promise.resolve(undefined));
const closing = new AbortController();
const context: ServerContext = {
  ...{ trommel, poller, signal: closing.signal, detach: false },
  roots: new Roots([location], folder),
  access: new Access(testToken),
  caches: new Caches(),
};
const settings = {
  ...{ isLoopback: true, log: trommel.connections.log, page: [], answerWithinMs: 200 },
  metrics: new ClusterMetrics(),
};
const server = await buildServer(context, settings);
after(async () => {
  closing.abort();
  poller.close();
  await server.close();
  await trommel.close();
});

const host = "localhost";

describe("a server under strain", () => {
  it("says that a store answers too slowly, and answers again once it does", async () => {
    const { store } = trommel;
    const get = store.get.bind(store);
    let answer: () => void = () => undefined;
    const slow = new Promise<void>((resolve) => (answer = resolve));
    store.get = async (...given) => {
      await slow;
      return get(...given);
    };
    const late = await server.inject({ url: "/api/v1/runs/score-a", headers: { host } });
    assert.equal(late.statusCode, 504);
    const { code, retryable, detail } = late.json<Record<string, unknown>>();
    assert.deepEqual([code, retryable], ["timed-out", true]);
    assert.match(String(detail), /GET \/api\/v1\/runs\/\{id\}/);
    answer();
    store.get = get;
    assert.equal((await server.inject({ url: "/api/v1/runs/score-a", headers: { host } })).statusCode, 200);
  });

  it("lets 2,000 watch, and tells the next one when to come again", async () => {
    const leaving = Array.from({ length: 2000 }, () => poller.watch(() => undefined));
    const refused = await server.inject({ url: "/api/v1/events", headers: { host } });
    assert.equal(refused.statusCode, 503);
    assert.equal(refused.headers["retry-after"], "30");
    assert.match(refused.json<{ detail: string }>().detail, /2000 watch already/);
    for (const leave of leaving) leave();
  });

  it("looks at the store as often for 200 watchers as for one", async () => {
    const { store } = trommel;
    let calls = 0;
    const original = { get: store.get.bind(store), head: store.head.bind(store) };
    store.get = (...given) => ((calls += 1), original.get(...given));
    store.head = (...given) => ((calls += 1), original.head(...given));
    const over = async (watchers: number): Promise<number> => {
      let looks = 0;
      const leaving = Array.from({ length: watchers }, (_, i) =>
        poller.watch(({ event }) => {
          if (i === 0 && event === "cluster") looks += 1;
        }),
      );
      await waitUntil("a look", () => looks >= 1);
      const before = calls;
      await waitUntil("two more", () => looks >= 3);
      for (const leave of leaving) leave();
      return calls - before;
    };
    const alone = await over(1);
    assert.ok(alone > 0);
    assert.equal(await over(200), alone);
    Object.assign(store, original);
  });

  it("says why what is complete cannot be paused, cancelled or unpaused", async () => {
    for (const action of ["pause", "unpause", "cancel"]) {
      const url = `/api/v1/runs/score-a/${action}`;
      const headers = { host, authorization: `Bearer ${testToken}` };
      const refused = await server.inject({ method: "POST", url, headers });
      assert.equal(refused.statusCode, 409, action);
      assert.match(
        refused.json<{ detail: string }>().detail,
        new RegExp(`cannot ${action} score-a.*complete`),
      );
    }
  });

  it("answers a POST that is sent twice with one key once, and refuses the key for another body", async () => {
    const send = (id: string) =>
      server.inject({
        method: "POST",
        url: "/api/v1/runs/score-a/resume",
        headers: { host, authorization: `Bearer ${testToken}`, "idempotency-key": "k1" },
        payload: { maxFailures: id },
      });
    const first = await send("10");
    assert.equal(first.statusCode, 202, first.body);
    assert.deepEqual((await send("10")).json(), first.json());
    const other = await send("20");
    assert.equal(other.statusCode, 409);
    assert.match(other.json<{ detail: string }>().detail, /came with another request before/);
  });

  it("forgets a watcher that leaves before it has its snapshot", async () => {
    const original = poller.snapshot.bind(poller);
    let answer: () => void = () => undefined;
    const slow = new Promise<void>((resolve) => (answer = resolve));
    let asked = 0;
    poller.snapshot = async () => {
      asked += 1;
      await slow;
      return original();
    };
    const url = await server.listen({ host: "127.0.0.1", port: 0 });
    const leaving = new AbortController();
    const watching = fetch(`${url}/api/v1/events`, { signal: leaving.signal });
    await waitUntil("it is asked for", () => asked === 1);
    leaving.abort();
    await assert.rejects(watching);
    const connections = promisify(server.server.getConnections.bind(server.server));
    await waitUntil("it has left", async () => (await connections()) === 0);
    answer();
    await poller.snapshot();
    await setImmediate();
    assert.equal(poller.watchers, 0);
    poller.snapshot = original;
  });
});
