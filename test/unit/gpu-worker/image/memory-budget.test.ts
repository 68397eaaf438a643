import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MemoryBudget, type GiveBack } from "#gpu-worker/image/budgets/memory-budget";

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Sizes that are asked for in this order, and which of those that hold room gives it back next. */
const schedules = fc.record({
  budget: fc.integer({ min: 1, max: 20 }),
  sizes: fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 25 }),
  picks: fc.array(fc.nat(1000), { minLength: 25, maxLength: 25 }),
  aborted: fc.uniqueArray(fc.nat(24), { maxLength: 5 }),
});

describe("MemoryBudget", () => {
  it("never passes its budget, overtakes nobody, and lets everybody in at last", async () => {
    await fc.assert(
      fc.asyncProperty(schedules, async ({ budget: size, sizes, picks, aborted }) => {
        const budget = new MemoryBudget(size);
        const granted: number[] = [];
        const holding = new Map<number, GiveBack>();
        const refused: number[] = [];
        const aborts = sizes.map(() => new AbortController());
        for (const [index, bytes] of sizes.entries()) {
          budget.reserve(bytes, aborts[index]?.signal).then(
            (giveBack) => {
              granted.push(index);
              holding.set(index, giveBack);
            },
            () => refused.push(index),
          );
        }
        await tick();
        for (const index of aborted) aborts[index]?.abort(new Error("given up"));
        for (let step = 0; granted.length + refused.length < sizes.length || holding.size > 0; step += 1) {
          await tick();
          const held = [...holding.keys()];
          const heldBytes = held.reduce((sum, index) => sum + (sizes[index] ?? 0), 0);
          assert.equal(budget.reservedBytes, heldBytes);
          // Those of no size take no room from one that is larger than everything.
          const counting = held.filter((index) => (sizes[index] ?? 0) > 0);
          assert.ok(
            heldBytes <= size || counting.length === 1,
            `${held.join()} hold ${heldBytes} of ${size}`,
          );
          const next = held[(picks[step % picks.length] ?? 0) % Math.max(1, held.length)];
          assert.ok(next !== undefined, "somebody waits, and nobody holds anything");
          const giveBack = holding.get(next);
          holding.delete(next);
          giveBack?.();
          giveBack?.();
        }
        assert.deepEqual(
          granted,
          [...granted].sort((a, b) => a - b),
        );
        assert.ok(refused.every((index) => aborted.includes(index)));
        assert.equal(budget.reservedBytes, 0);
      }),
      { numRuns: 300 },
    );
  });

  it("refuses a budget that is none", () => {
    for (const size of [0, -1, 1.5, Number.NaN])
      assert.throws(() => new MemoryBudget(size), { code: "invalid-argument" });
  });
});
