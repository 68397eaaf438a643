import assert from "node:assert/strict";
import { afterEach, describe, it, mock } from "node:test";
import { TrommelError } from "@trommel/common";
import type { JobProducer, RunStatus } from "@trommel/coordinator/run-control";
import type { Trommel } from "#trommel/index";
import { Poller, type PolledEvent } from "#trommel/server/overview/poller";
import { Works } from "#trommel/server/overview/works";

/** A store of scorings, by their ids, that the test slows down and lets fail. */
class Scorings {
  ids: string[] = [];
  /** Ids whose status the store does not give. */
  readonly failing = new Set<string>();
  /** Waited for at the end of each listing. */
  gate: Promise<void> = Promise.resolve();
  listings = 0;

  get trommel(): Trommel {
    return { store: this, run: (id: string) => Promise.resolve(this.#run(id)) } as unknown as Trommel;
  }

  readonly url = "file:///store";

  async *list(prefix: string, { startAfter = "" } = {}): AsyncGenerator<{ readonly key: string }> {
    if (prefix === "runs/") this.listings += 1;
    for (const id of prefix === "scorings/" ? [...this.ids].sort() : []) {
      const key = `scorings/${id}/scoring.json`;
      if (key > startAfter) yield { key };
    }
    if (prefix === "sortings/") await this.gate;
  }

  head(): Promise<object> {
    return Promise.resolve({});
  }

  phase: RunStatus["phase"] = "complete";
  /** Images of each scoring that are done, of 100. */
  done = 0;

  #run(id: string): unknown {
    const images = { imagesDone: this.done, imagesTotal: 100, failedImages: 0, reusedImages: 0, note: "" };
    const stages = this.done === 0 ? [] : [{ stage: "score", done: 1, total: 4, ...images }];
    const status = { id, kind: "scoring", phase: this.phase, stages, attempt: 1 };
    return {
      status: () =>
        this.failing.has(id)
          ? Promise.reject(new TrommelError("unavailable", "the store does not answer"))
          : Promise.resolve(status),
    };
  }
}

function gate(): { readonly closed: Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => (open = resolve));
  return { closed, open };
}

/** Everything that waits for nothing but other promises is done. */
async function settled(): Promise<void> {
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe("the poller", () => {
  afterEach(() => mock.timers.reset());

  it("tells what changed in a look that meets an error afterwards", async () => {
    const scorings = new Scorings();
    scorings.ids = ["a", "b"];
    const poller = new Poller(scorings.trommel, () => Promise.resolve(undefined));
    await poller.list();
    mock.timers.enable({ apis: ["setTimeout"] });
    const told: PolledEvent[] = [];
    poller.watch((event) => told.push(event));
    scorings.ids = ["b", "c", "d"];
    scorings.failing.add("c");
    poller.expectChange();
    mock.timers.tick(1);
    await settled();
    assert.ok(told.some(({ event }) => event === "fault"));
    scorings.failing.clear();
    mock.timers.tick(1000);
    await settled();
    const names = told.map(({ event, data }) => ("id" in data ? `${event} ${data.id}` : event));
    assert.ok(names.includes("recovered"), names.join());
    assert.ok(names.includes("removed a"), names.join());
    for (const id of ["c", "d"]) assert.ok(names.includes(`run ${id}`), names.join());
    poller.close();
  });

  it("says that Redis is lost, and not the store, if its queues cannot be read", async () => {
    const lost = new TrommelError("unavailable", "the connection was lost");
    const producer = {
      redis: { ping: () => Promise.resolve("PONG") },
      depthOf: () => Promise.reject(lost),
      workersOf: () => Promise.reject(lost),
    } as unknown as JobProducer;
    const poller = new Poller(new Scorings().trommel, () => Promise.resolve(producer));
    const { fault, cluster } = await poller.snapshot();
    assert.equal(fault?.of, "redis");
    assert.equal(cluster.redis, "lost");
    poller.close();
  });

  it("says that Redis is lost if it gives no answer about its queues, and does not wait for one", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const never = new Promise<never>(() => undefined);
    const producer = {
      redis: { ping: () => Promise.resolve("PONG") },
      depthOf: () => never,
      workersOf: () => never,
    } as unknown as JobProducer;
    const poller = new Poller(new Scorings().trommel, () => Promise.resolve(producer));
    const looking = poller.snapshot();
    await settled();
    mock.timers.tick(3001);
    assert.equal((await looking).fault?.of, "redis");
    poller.close();
  });

  it("knows what was submitted while a look was under way", async () => {
    const scorings = new Scorings();
    const { closed, open } = gate();
    scorings.gate = closed;
    const poller = new Poller(scorings.trommel, () => Promise.resolve(undefined));
    const before = poller.list();
    await settled();
    scorings.ids = ["new"];
    poller.expectChange();
    const after = poller.list();
    open();
    assert.deepEqual(await before, []);
    assert.deepEqual(
      (await after).map(({ id }) => id),
      ["new"],
    );
    poller.close();
  });

  it("looks no more once nobody watches, although all had left and come again within a look", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const scorings = new Scorings();
    let looks = 0;
    const { closed, open } = gate();
    scorings.gate = closed;
    const poller = new Poller(scorings.trommel, () => {
      looks += 1;
      return Promise.resolve(undefined);
    });
    const leave = poller.watch(() => undefined);
    mock.timers.tick(1);
    await settled();
    leave();
    const leaveAgain = poller.watch(() => undefined);
    mock.timers.tick(1);
    open();
    await settled();
    mock.timers.tick(1000);
    await settled();
    assert.equal(looks, 2);
    leaveAgain();
    mock.timers.tick(10_000);
    await settled();
    assert.equal(looks, 2);
  });
});

describe("what is told of a scoring", () => {
  it("has a rate while it runs, and changes no more once it is paused", async () => {
    const scorings = new Scorings();
    scorings.ids = ["a"];
    let nowMs = 0;
    const works = new Works(scorings.trommel, () => nowMs);
    const look = async (atMs: number): Promise<readonly (number | null)[]> => {
      nowMs = atMs;
      const told: (number | null)[] = [];
      await works.look({
        changed: ({ stages }) => told.push(...stages.map(({ perSecond }) => perSecond)),
        removed: () => undefined,
      });
      return told;
    };
    Object.assign(scorings, { phase: "running", done: 10 });
    assert.deepEqual(await look(1000), [null]);
    scorings.done = 30;
    assert.deepEqual(await look(3000), [10]);
    scorings.phase = "paused";
    assert.deepEqual(await look(4000), [null]);
    assert.deepEqual(await look(5000), []);
  });
});
