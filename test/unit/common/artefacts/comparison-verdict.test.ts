import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { rivalOf, verdictOf, type Comparison } from "@trommel/common/artefacts";

/** What the sentences depend on. */
function comparisonOf(onlyFirstRight: number, onlySecondRight: number, pValue: number): Comparison {
  return {
    ...{
      model: { location: "file:///store/runs/second/bundle", modelSha256: "b" },
      scores: "file:///scores",
    },
    ...{ onlyFirstRight, onlySecondRight, test: { pValue, method: "exact" }, first: { images: 200 } },
  } as unknown as Comparison;
}
const evaluation = { model: { location: "file:///store/runs/first/bundle", modelSha256: "a" } };

describe("what a comparison says", () => {
  it("names the better model, by how much, and whether that may be chance", () => {
    const cases = [
      [
        30,
        10,
        0.002,
        /probability 0\.002 .* This model is better on images such as these: on these by 10\.0 p/,
      ],
      [10, 30, 1e-9, /probability below 0\.001 .* The other model is better on images such as these/],
      [
        10,
        12,
        0.832,
        /The other model is better on these images, by 1\.0 percentage points.* may be chance\.$/,
      ],
      [5, 5, 1, /Both are right equally often\.$/],
    ] as const;
    for (const [one, other, p, expected] of cases)
      assert.match(verdictOf(evaluation, comparisonOf(one, other, p)), expected);
  });

  it("calls a run of the store by its id, and every other model by its location", () => {
    const comparison = comparisonOf(1, 2, 1);
    assert.equal(rivalOf(evaluation, comparison, "file:///store"), "The other model is second");
    assert.equal(
      rivalOf(evaluation, comparison, "file:///elsewhere"),
      "The other model is file:///store/runs/second/bundle",
    );
    const same = { model: comparison.model };
    assert.equal(
      rivalOf(same, comparison, "file:///store"),
      "The other scoring of this model is file:///scores",
    );
  });
});
