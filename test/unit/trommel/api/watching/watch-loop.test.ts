import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { watchLoop } from "#trommel/api/watching/watch-loop";

interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
}

function deferred<T>(): Deferred<T> {
  let settle: Pick<Deferred<T>, "resolve" | "reject"> = { resolve: () => undefined, reject: () => undefined };
  const promise = new Promise<T>((resolve, reject) => (settle = { resolve, reject }));
  return { promise, ...settle };
}

/** Ticks that the test gives, and looks that end as it says. */
class Stage {
  readonly stop = new AbortController();
  looks = 0;
  #ticks = deferred<void>();
  #look = deferred<{ kind: "scored"; number: number }>();
  readonly #isPassing: boolean;

  constructor({ passes = true } = {}) {
    this.#isPassing = passes;
  }

  loop() {
    return watchLoop<{ kind: "scored"; number: number }>({
      look: () => {
        this.looks += 1;
        return this.#look.promise;
      },
      nextTick: (signal) => {
        const left = new Promise<never>((_, reject) => {
          signal.addEventListener("abort", () => reject(new Error("left")), { once: true });
          if (signal.aborted) reject(new Error("left"));
        });
        return Promise.race([this.#ticks.promise, left]);
      },
      passes: () => Promise.resolve(this.#isPassing),
      signal: this.stop.signal,
    });
  }

  tick(): void {
    const passed = this.#ticks;
    this.#ticks = deferred();
    passed.resolve();
  }

  done(): void {
    const look = this.#look;
    this.#look = deferred();
    look.resolve({ kind: "scored", number: this.looks });
  }

  fail(error: TrommelError): void {
    const look = this.#look;
    this.#look = deferred();
    look.reject(error);
  }
}

const away = new TrommelError("unavailable", "the store is away");

describe("the loop around a watched source", () => {
  it("looks at once, and then with each tick", async () => {
    const stage = new Stage();
    const found = stage.loop();
    const first = found.next();
    stage.done();
    assert.deepEqual((await first).value, { kind: "scored", number: 1 });
    const second = found.next();
    assert.equal(stage.looks, 1);
    stage.tick();
    await Promise.resolve();
    while (stage.looks < 2) await new Promise((resolve) => setImmediate(resolve));
    stage.done();
    assert.deepEqual((await second).value, { kind: "scored", number: 2 });
  });

  it("never looks twice at a time, and says once that ticks are skipped", async () => {
    const stage = new Stage();
    const found = stage.loop();
    const first = found.next();
    stage.tick();
    assert.deepEqual((await first).value, { kind: "skipped" });
    const second = found.next();
    stage.tick();
    stage.tick();
    stage.done();
    assert.deepEqual((await second).value, { kind: "scored", number: 1 });
    assert.equal(stage.looks, 1);
  });

  it("says what failed, and tries again with the next tick", async () => {
    const stage = new Stage();
    const found = stage.loop();
    const first = found.next();
    stage.fail(away);
    assert.deepEqual((await first).value, { kind: "failed", error: away });
    const second = found.next();
    while (stage.looks < 2) {
      stage.tick();
      await new Promise((resolve) => setImmediate(resolve));
    }
    stage.done();
    assert.deepEqual((await second).value, { kind: "scored", number: 2 });
  });

  it("ends with what another look does not change", async () => {
    const stage = new Stage({ passes: false });
    const first = stage.loop().next();
    stage.fail(away);
    await assert.rejects(first, away);
  });

  it("ends without an error where it is stopped, while it waits and while it looks", async () => {
    const waiting = new Stage();
    const found = waiting.loop();
    const first = found.next();
    waiting.done();
    await first;
    const end = found.next();
    waiting.stop.abort();
    assert.equal((await end).done, true);

    const looking = new Stage();
    const last = looking.loop().next();
    looking.stop.abort();
    looking.fail(new TrommelError("cancelled", "stopped waiting"));
    assert.equal((await last).done, true);
    assert.equal(looking.looks, 1);
  });
});
