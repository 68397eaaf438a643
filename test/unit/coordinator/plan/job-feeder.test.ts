import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { JobFeeder, type FeederOptions } from "#coordinator/plan/feed/job-feeder";
import fc from "fast-check";

const oom = "OOM command not allowed when used memory > 'maxmemory'.";

/** A queue that finishes some of what it holds whenever it is looked at, and that is full now and then. */
class Queue {
  readonly added: number[] = [];
  readonly told: string[] = [];
  readonly #finishes: number;
  readonly #full: boolean[];
  outstanding = 0;
  peak = 0;

  constructor(finishes: number, full: readonly boolean[]) {
    this.#finishes = finishes;
    this.#full = [...full];
  }

  options(unit: number, atMost: number): FeederOptions {
    return {
      unit,
      outstandingAtMost: atMost,
      outstanding: () => {
        const now = this.outstanding;
        this.outstanding = Math.max(0, this.outstanding - this.#finishes);
        return Promise.resolve(now);
      },
      nearlyFull: () => Promise.resolve(this.#full.shift() ?? false),
      add: (start, end) => {
        if (this.#full.shift() === true) return Promise.reject(new Error(oom));
        for (let shard = start; shard < end; shard += 1) this.added.push(shard);
        this.outstanding += end - start;
        this.peak = Math.max(this.peak, this.outstanding);
        return Promise.resolve();
      },
      check: () => Promise.resolve(),
      onFull: () => this.told.push("full"),
      signal: new AbortController().signal,
      firstLookMs: 1,
    };
  }
}

const settings = fc.record({
  shards: fc.nat(60),
  unit: fc.integer({ min: 1, max: 16 }),
  atMost: fc.integer({ min: 1, max: 40 }),
  full: fc.array(fc.boolean(), { maxLength: 3 }),
  first: fc.boolean(),
});

describe("JobFeeder", () => {
  it("queues every shard once and in order, and never more than may be outstanding", async () => {
    await fc.assert(
      fc.asyncProperty(settings, async ({ shards, unit, atMost, full, first }) => {
        const queue = new Queue(atMost, full);
        const feeder = new JobFeeder(queue.options(unit, atMost));
        for (let listed = 1; listed <= shards; listed += 1) await feeder.offer(listed, { first });
        await feeder.finish(shards);
        assert.deepEqual(
          queue.added,
          Array.from({ length: shards }, (_, shard) => shard),
        );
        assert.ok(queue.peak <= Math.max(unit, atMost), `${queue.peak} of ${atMost} by ${unit}`);
        assert.ok(queue.told.length <= full.filter(Boolean).length);
      }),
      { numRuns: 40 },
    );
  });

  it("sends the first shard out alone, and whole units after it", async () => {
    const queue = new Queue(0, []);
    const feeder = new JobFeeder(queue.options(10, 1000));
    const queuedAt: number[] = [];
    for (let listed = 1; listed <= 25; listed += 1) {
      await feeder.offer(listed, { first: true });
      queuedAt.push(queue.added.length);
    }
    assert.deepEqual(
      [queuedAt[0], queuedAt[9], queuedAt[10], queuedAt[20], queuedAt[24]],
      [1, 1, 11, 21, 21],
    );
  });

  it("ends its wait when the run is over, and throws what is no full Redis", async () => {
    const queue = new Queue(0, []);
    let looks = 0;
    const cancelled = new JobFeeder({
      ...queue.options(5, 10),
      check: () =>
        (looks += 1) < 4 ? Promise.resolve() : Promise.reject(new TrommelError("cancelled", "it is over")),
    });
    await assert.rejects(cancelled.finish(100), { code: "cancelled" });
    assert.equal(queue.added.length, 10);
    const broken = new JobFeeder({
      ...new Queue(0, []).options(5, 10),
      add: () => Promise.reject(new Error("no such parent")),
    });
    await assert.rejects(broken.finish(1), /no such parent/);
  });
});
