import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ImageGroups } from "#gpu-worker/stages/dividing/image-groups";

/** The groups by repeated merging of sets: quadratic and plain. */
function merged(tokens: readonly (readonly string[])[]): number[][] {
  let groups = tokens.map((of, image) => ({ images: [image], tokens: new Set(of) }));
  for (let changed = true; changed;) {
    changed = false;
    search: for (const a of groups) {
      for (const b of groups) {
        if (a === b || ![...a.tokens].some((token) => b.tokens.has(token))) continue;
        a.images.push(...b.images);
        for (const token of b.tokens) a.tokens.add(token);
        groups = groups.filter((group) => group !== b);
        changed = true;
        break search;
      }
    }
  }
  return groups.map(({ images }) => images.sort((x, y) => x - y)).sort((x, y) => (x[0] ?? 0) - (y[0] ?? 0));
}

describe("images that stay together", () => {
  it("are those that share a token, however these chain", () => {
    const token = fc.integer({ min: 0, max: 12 }).map(String);
    fc.assert(
      fc.property(fc.array(fc.uniqueArray(token, { maxLength: 3 }), { maxLength: 14 }), (tokens) => {
        const groups = new ImageGroups();
        for (const [image, of] of tokens.entries()) assert.equal(groups.add(of), image);
        assert.deepEqual(groups.groups(), merged(tokens));
      }),
    );
  });
});
