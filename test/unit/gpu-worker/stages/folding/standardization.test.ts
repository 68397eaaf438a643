import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom } from "@trommel/common";
import { addRows } from "#gpu-worker/stages/folding/moments";
import { standardizationOf, variationNotes } from "#gpu-worker/stages/folding/standardization";

/** 200 rows whose dimensions have these means and deviations. */
function standardized(dimensions: readonly (readonly [mean: number, deviation: number])[]) {
  const random = new SeededRandom(5);
  const rows = Float32Array.from({ length: 200 * dimensions.length }, (_, i) => {
    const [mean, deviation] = dimensions[i % dimensions.length] ?? [0, 0];
    return mean + deviation * random.normal();
  });
  const width = dimensions.length;
  const none = { rowCount: 0, sum: new Float64Array(width), squareSum: new Float64Array(width) };
  return standardizationOf("r", addRows(none, rows));
}

describe("standardisation", () => {
  it("takes a dimension for constant whose deviation is rounding, however large or small it is", () => {
    const { scale } = standardized([
      [3, 0],
      [3, 3e-5],
      [-4000, 0.04],
      [3, 3e-2],
      [0, 1e-3],
      [1e-3, 1e-3],
    ]);
    assert.deepEqual([...scale.subarray(0, 3)], [0, 0, 0]);
    for (const [i, deviation] of [3e-2, 1e-3, 1e-3].entries())
      assert.ok(Math.abs((scale[3 + i] ?? 0) * deviation - 1) < 0.2);
  });

  it("says when embeddings hardly differ, and nothing of dimensions that are always 0", () => {
    const varied = [1, 0.5] as const;
    assert.deepEqual(variationNotes(standardized([varied, varied, [0, 0], [0, 0], [0, 0], [2, 1e-3]])), []);
    const [note, ...more] = variationNotes(standardized([varied, [2, 1e-3], [0, 0], [2, 1e-6]]));
    assert.deepEqual(more, []);
    assert.match(note ?? "", /hardly differ: 2 of 3 dimensions/);
  });
});
