import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { GiveBack } from "#gpu-worker/image/budgets/memory-budget";
import { OrderedTurns } from "#gpu-worker/image/budgets/ordered-turns";

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

const schedules = fc.record({
  atOnce: fc.integer({ min: 1, max: 4 }),
  orders: fc.array(fc.nat(5), { minLength: 1, maxLength: 20 }),
  picks: fc.array(fc.nat(1000), { minLength: 20, maxLength: 20 }),
  aborted: fc.uniqueArray(fc.nat(19), { maxLength: 4 }),
});

describe("OrderedTurns", () => {
  it("lets in so many at once, the least order first, equal ones as they came, and everybody at last", async () => {
    await fc.assert(
      fc.asyncProperty(schedules, async ({ atOnce, orders, picks, aborted }) => {
        const turns = new OrderedTurns(atOnce);
        const aborts = orders.map(() => new AbortController());
        const holding = new Map<number, GiveBack>();
        const waiting = new Set<number>(orders.keys());
        const overtakers: number[] = [];
        for (const [index, order] of orders.entries()) {
          turns.take(order, aborts[index]?.signal).then(
            (giveBack) => {
              if (index >= atOnce) {
                const before = (other: number) =>
                  (orders[other] ?? 0) < order || (orders[other] === order && other < index);
                if ([...waiting].some(before)) overtakers.push(index);
              }
              waiting.delete(index);
              holding.set(index, giveBack);
            },
            () => waiting.delete(index),
          );
        }
        await tick();
        for (const index of aborted) aborts[index]?.abort(new Error("given up"));
        await tick();
        for (let step = 0; waiting.size + holding.size > 0; step += 1) {
          assert.ok(holding.size === atOnce || waiting.size === 0, "a turn is left free");
          const held = [...holding.keys()];
          const chosen = held[(picks[step] ?? 0) % held.length] ?? 0;
          const giveBack = holding.get(chosen);
          holding.delete(chosen);
          giveBack?.();
          giveBack?.();
          await tick();
        }
        assert.deepEqual(overtakers, []);
      }),
      { numRuns: 60 },
    );
  });
});
