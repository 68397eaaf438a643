import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe } from "@trommel/common";
import { foldUnits, unitsByDivision, unitsOf } from "@trommel/common/artefacts";
import { autoHeadOf } from "@trommel/common/recipe";

const head = autoHeadOf({
  id: "r",
  recipe: recipe.parse({
    backbones: ["net"],
    head: {
      candidates: [
        { name: "linear", head: { type: "linear" }, penalties: [1, 0.1] },
        {
          name: "by steps",
          head: { type: "linear", dropout: 0.1 },
          training: { schedule: { type: "cosine" } },
        },
        { name: "mlp", head: { type: "mlp" }, training: { schedule: { type: "cosine" } } },
      ],
    },
  }),
});
const parts = [[0, 1, 0, 1]];
const labelled = (split: Parameters<typeof foldUnits>[1]): string[] =>
  foldUnits(head, split).map(
    ({ candidate, repeat, fold, share }) => `${candidate}/${repeat}/${fold}/${share}`,
  );

describe("the fold jobs of a run", () => {
  it("are those of each candidate and fold, the last candidate first, and those of the learning curve", () => {
    assert.deepEqual(labelled({ folds: 2 }), [
      ...["2/0/0/1", "2/0/1/1", "1/0/0/1", "1/0/1/1", "0/0/0/1", "0/0/1/1"],
      ...["0/0/0/0.25", "0/0/1/0.25", "0/0/0/0.5", "0/0/1/0.5", "0/0/0/0.75", "0/0/1/0.75"],
    ]);
  });

  it("are as many for each division, but of a candidate that is not linear alone", () => {
    const once = labelled({ folds: 2 });
    assert.deepEqual(labelled({ folds: 2, furtherParts: [parts, parts] }), [
      ...["2/0/0/1", "2/0/1/1", "2/1/0/1", "2/1/1/1", "2/2/0/1", "2/2/1/1"],
      ...once.slice(2),
    ]);
  });

  it("are found by candidate, division and fold", () => {
    const units = foldUnits(head, { folds: 2, furtherParts: [parts] });
    assert.deepEqual(unitsByDivision(units, 2), [
      [0, 1],
      [2, 3],
    ]);
    assert.deepEqual(unitsByDivision(units, 0), [[6, 7]]);
    assert.deepEqual(unitsOf(units, 2, 1), [0, 1]);
    assert.deepEqual(unitsOf(units, 0, 0.5), [10, 11]);
  });
});
