import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { openStore, scoringKeys } from "@trommel/common";
import { Redis } from "ioredis";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { waitUntil } from "../../support/process/wait-until.js";
import { writeScores } from "../../support/runs/written-scores.js";
import { openDashboard } from "../../support/servers/dashboard.js";
import { startRedisServer } from "../../support/servers/redis-server.js";

const folder = await temporaryFolder("dashboard-events");
let redis = await startRedisServer();
after(() => redis.stop());
const store = openStore(join(folder, "store"));
const scoring = { classes: ["cat", "dog"], source: "file:///nowhere", rows: [] };
await writeScores({ ...scoring, location: join(folder, "a"), name: "a" }, store);
const dashboard = await openDashboard({ store: join(folder, "store"), redis: redis.url() });

interface Event {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** A watcher that keeps what it is sent. */
class Watcher {
  readonly events: Event[] = [];
  readonly #leaving = new AbortController();
  readonly ended: Promise<void>;

  constructor(query = "") {
    this.ended = this.#read(`${dashboard.url}/api/v1/events${query}`).catch(() => undefined);
  }

  async until(what: string, isIt: (event: Event) => boolean): Promise<Event> {
    return waitUntil(what, () => this.events.find(isIt));
  }

  leave(): Promise<void> {
    this.#leaving.abort();
    return this.ended;
  }

  async #read(url: string): Promise<void> {
    const { body } = await fetch(url, { signal: this.#leaving.signal });
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const [, event = "", data = "{}"] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
        this.events.push({ event, data: JSON.parse(data) as Record<string, unknown> });
      }
    }
  }
}

/** Commands that Redis has carried out while `watcher` was sent so many looks. */
async function commandsOver(watcher: Watcher, looks: number): Promise<number> {
  const client = new Redis(redis.url());
  const count = async (): Promise<number> =>
    Number(/total_commands_processed:(\d+)/.exec(await client.info("stats"))?.[1]);
  const looksOf = (): number => watcher.events.filter(({ event }) => event === "cluster").length;
  try {
    const from = looksOf();
    await waitUntil("a look begins", () => looksOf() > from);
    const before = await count();
    await waitUntil("so many looks", () => looksOf() > from + looks, 60_000);
    return (await count()) - before;
  } finally {
    client.disconnect();
  }
}

describe("the stream of events", { timeout: 180_000 }, () => {
  it("begins with everything that is known", async () => {
    const watcher = new Watcher();
    const { data } = await watcher.until("a snapshot", ({ event }) => event === "snapshot");
    assert.deepEqual(
      (data["runs"] as { readonly id: string }[]).map(({ id }) => id),
      ["score-a"],
    );
    assert.equal(data["fault"], null);
    await watcher.leave();
  });

  it("asks Redis as much for 200 watchers as for one", async () => {
    const alone = new Watcher();
    const looks = 4;
    const forOne = await commandsOver(alone, looks);
    const others = Array.from({ length: 199 }, () => new Watcher());
    await waitUntil("all have a snapshot", () => others.every(({ events }) => events.length > 0), 60_000);
    const forAll = await commandsOver(alone, looks);
    // The client that counts adds a few, and a look may end within the count.
    assert.ok(forAll <= forOne + forOne / looks + 10, `${forAll} commands for 200, ${forOne} for one`);
    assert.ok(forOne > 0);
    await waitUntil("all see the same looks", () =>
      others.every(({ events }) => events.some(({ event }) => event === "cluster")),
    );
    await Promise.all([alone, ...others].map((watcher) => watcher.leave()));
  });

  it("says what comes and what vanishes while it is watched", async () => {
    const watcher = new Watcher();
    await watcher.until("a snapshot", ({ event }) => event === "snapshot");
    await writeScores({ ...scoring, location: join(folder, "b"), name: "b" }, store);
    await watcher.until("it comes", ({ event, data }) => event === "run" && data["id"] === "score-b");
    const one = new Watcher("?run=score-b");
    await one.until("its own snapshot", ({ event }) => event === "snapshot");
    await store.delete([scoringKeys("score-b").config]);
    await one.until("it vanishes", ({ event, data }) => event === "removed" && data["id"] === "score-b");
    assert.equal((await dashboard.get("/api/v1/runs/score-b")).status, 404);
    assert.equal((await dashboard.get("/api/v1/events?run=score-b")).status, 404);
    assert.ok(one.events.every(({ event }) => event !== "cluster"));
    await Promise.all([watcher.leave(), one.leave()]);
  });

  it("says that Redis is lost and that it is back, and lists what it knew meanwhile", async () => {
    const watcher = new Watcher();
    await watcher.until("a look", ({ event }) => event === "cluster");
    const { port } = redis;
    await redis.stop();
    const { data } = await watcher.until("a fault", ({ event }) => event === "fault");
    assert.equal(data["of"], "redis");
    const { status, body } = await dashboard.get("/api/v1/runs");
    assert.equal(status, 200);
    assert.equal((body["runs"] as unknown[]).length, 1);
    assert.deepEqual((body["fault"] as { readonly of: string }).of, "redis");
    redis = await startRedisServer({ port });
    await watcher.until("it recovers", ({ event }) => event === "recovered");
    await watcher.leave();
  });
});
