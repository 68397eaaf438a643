import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { noFold, testPart } from "@trommel/common/artefacts";
import fc from "fast-check";
import { assignParts, type ImageGroup } from "#gpu-worker/stages/dividing/assign-parts";

const names = ["glass", "metal", "paper"];

/** Images by class and part, counted anew from the groups. */
function countsOf(groups: readonly ImageGroup[], parts: readonly number[], part: number): number[] {
  return names.map((_, index) =>
    groups.reduce(
      (sum, group, at) => sum + (parts[at] === part ? group.classes.filter((of) => of === index).length : 0),
      0,
    ),
  );
}

/** Names the class and the parts of the groups that have it. */
const undividable = (index: number, parts: readonly number[]) =>
  new TrommelError("bad-dataset", `${names[index]}: ${parts.slice(-2).join()}`);

const single = fc.record({
  classes: fc.integer({ min: 0, max: 2 }).map((index) => [index]),
  rank: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  fixed: fc.constant(undefined),
});
const several = fc.record({
  classes: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 2, maxLength: 6 }),
  rank: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  fixed: fc.constant(undefined),
});
/** So that no class is too small for five folds and a test part. */
const enough: ImageGroup[] = names.flatMap((_, index) =>
  Array.from({ length: 12 }, (_, at) => ({ classes: [index], rank: 1000 * at + index, fixed: undefined })),
);

describe("the division into folds and a test part", () => {
  it("gives every group one part, and a class of single images as evenly as can be", () => {
    fc.assert(
      fc.property(fc.array(single, { maxLength: 200 }), (drawn) => {
        const groups = [...drawn, ...enough];
        const { folds, parts } = assignParts(groups, names, { folds: 5, test: null, undividable });
        assert.equal(folds, 5);
        assert.ok(parts.every((part) => part >= 0 && part < 5));
        const byFold = Array.from({ length: 5 }, (_, fold) => countsOf(groups, parts, fold));
        for (const index of names.keys()) {
          const counts = byFold.map((counts) => counts[index] ?? 0);
          assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
        }
        const sizes = byFold.map((counts) => counts.reduce((sum, count) => sum + count, 0));
        assert.ok(Math.max(...sizes) - Math.min(...sizes) <= names.length, sizes.join());
      }),
    );
  });

  it("does not depend on the order of the groups, only on their ranks", () => {
    fc.assert(
      fc.property(fc.uniqueArray(single, { selector: ({ rank }) => rank, maxLength: 60 }), (drawn) => {
        const ranked = enough.map((group, at) => ({ ...group, rank: -1 - at }));
        const groups = [...drawn, ...ranked];
        const partOf = (order: readonly ImageGroup[]) => {
          const { parts } = assignParts(order, names, { folds: 4, test: 0.2, undividable });
          return new Map(order.map(({ rank }, at) => [rank, parts[at]]));
        };
        const backwards = partOf(groups.toReversed());
        for (const [rank, part] of partOf(groups)) assert.equal(backwards.get(rank), part);
      }),
    );
  });

  it("gives the test part its share of every class, nearly so with groups of several images", () => {
    fc.assert(
      fc.property(
        fc.array(single, { maxLength: 150 }),
        fc.array(several, { maxLength: 10 }),
        (drawn, larger) => {
          const groups = [...drawn, ...larger, ...enough];
          const { parts } = assignParts(groups, names, { folds: 3, test: 0.25, undividable });
          const inTest = countsOf(groups, parts, testPart);
          const all = countsOf(
            groups,
            groups.map(() => 0),
            0,
          );
          for (const [index, count] of inTest.entries()) {
            const wanted = Math.max(1, Math.round(0.25 * (all[index] ?? 0)));
            if (larger.length === 0) assert.equal(count, wanted);
            else assert.ok(Math.abs(count - wanted) <= 6, `${count} of ${wanted}`);
          }
        },
      ),
    );
  });

  it("keeps what is fixed, and counts it in the test part's share", () => {
    const groups = enough.map((group, at) => ({
      ...group,
      fixed: at % 12 < 2 ? testPart : at % 12 === 2 ? 1 : undefined,
    }));
    const { parts } = assignParts(groups, names, { folds: 3, test: 0.25, undividable });
    for (const [at, { fixed }] of groups.entries()) if (fixed !== undefined) assert.equal(parts[at], fixed);
    assert.deepEqual(countsOf(groups, parts, testPart), [3, 3, 3]);
  });

  it("has fewer folds where a class has fewer images, and says so once", () => {
    const few = [...enough, ...enough.slice(0, 3)].filter(({ classes }, at) => classes[0] !== 2 || at < 27);
    const { folds, parts, notes } = assignParts(few, names, { folds: 5, test: null, undividable });
    assert.equal(folds, 3);
    assert.ok(parts.every((part) => part < 3));
    assert.equal(notes.length, 1);
    assert.match(notes[0] ?? "", /3 folds instead of 5.*"paper" has only 3/);
  });

  it("refuses a class that is one group, or that is all in the test part", () => {
    const paper = { classes: [2, 2, 2], rank: 5, fixed: undefined };
    const others = enough.filter(({ classes }) => classes[0] !== 2);
    const refused = (groups: readonly ImageGroup[], message: string) =>
      assert.throws(() => assignParts(groups, names, { folds: 5, test: 0.2, undividable }), {
        code: "bad-dataset",
        message,
      });
    const tested = { ...paper, fixed: testPart };
    refused([...others, paper, tested], `paper: ${noFold},${testPart}`);
    refused([...others, tested, { ...tested, rank: 6 }], `paper: ${testPart},${testPart}`);
  });
});
