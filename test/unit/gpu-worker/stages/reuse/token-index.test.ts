import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom } from "@trommel/common";
import { TokenIndex } from "#gpu-worker/stages/reuse/token-index";
import fc from "fast-check";

describe("the index of tokens", () => {
  it("finds what was added, in that order, as a map of lists does", () => {
    // Few tokens, so that many collide, and the largest there is.
    const token = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(2 ** 32 - 1));
    const batches = fc.array(fc.array(token, { maxLength: 9 }), { maxLength: 40 });
    fc.assert(
      fc.property(batches, (added) => {
        const index = new TokenIndex();
        const expected = new Map<number, number[]>();
        for (const [number, tokens] of added.entries()) {
          index.add(Uint32Array.from(tokens), number);
          for (const one of tokens) expected.set(one, [...(expected.get(one) ?? []), number]);
        }
        for (const one of [...Array(22).keys(), 2 ** 32 - 1, 2 ** 31])
          assert.deepEqual(index.find(one), expected.get(one) ?? []);
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it("finds every token of many that lie evenly, and none that was not added", () => {
    const random = new SeededRandom(5);
    const index = new TokenIndex();
    const added = Array.from({ length: 20 }, () => Uint32Array.from({ length: 500 }, () => random.bits()));
    for (const [number, tokens] of added.entries()) index.add(tokens, number);
    const all = new Set(added.flatMap((tokens) => [...tokens]));
    for (const [number, tokens] of added.entries())
      for (const one of tokens) assert.ok(index.find(one).includes(number));
    for (let i = 0; i < 5000; i += 1) {
      const other = random.bits();
      assert.equal(index.find(other).length > 0, all.has(other));
    }
  });
});
