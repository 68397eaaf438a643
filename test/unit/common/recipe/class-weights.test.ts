import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { canonicalJson, resolveClassWeights, TrommelError, trainingRecipe } from "@trommel/common";

const names = ["glass", "paper", "trash"];
const counts = [10, 30, 60];

describe("class weights", () => {
  it("are those of the recipe's rule: none, balanced, its root, or named", () => {
    const resolved = (classWeights: unknown) =>
      resolveClassWeights(trainingRecipe.parse({ classWeights }).classWeights, names, counts);
    closeAll(resolved("none"), [1, 1, 1]);
    // scikit-learn's compute_class_weight("balanced") for 10, 30 and 60 rows.
    closeAll(resolved("balanced"), [100 / 30, 100 / 90, 100 / 180]);
    closeAll(resolved("sqrt"), [100 / 30, 100 / 90, 100 / 180].map(Math.sqrt));
    closeAll(resolved({ trash: 0.25, glass: 3 }), [3, 1, 0.25]);
    assert.deepEqual(trainingRecipe.parse({}).classWeights, "none");
  });

  it("are of any name, through JSON and back", () => {
    const written: unknown = JSON.parse('{"classWeights": {"__proto__": 2, "constructor": 3}}');
    const once = JSON.parse(canonicalJson(trainingRecipe.parse(written))) as unknown;
    const { classWeights } = trainingRecipe.parse(once);
    closeAll(resolveClassWeights(classWeights, ["__proto__", "a", "constructor"], counts), [2, 1, 3]);
    for (const weight of ["0", "-1", '"2"', "null", "1e999"]) {
      const refused: unknown = JSON.parse(`{"classWeights": {"__proto__": ${weight}}}`);
      assert.match(
        trainingRecipe.safeParse(refused).error?.message ?? "",
        /mapping of class names to weights/,
      );
    }
    for (const classWeights of [["glass"], null, 2])
      assert.equal(trainingRecipe.safeParse({ classWeights }).success, false);
  });

  it("leave classes without rows out of the balance", () => {
    closeAll(resolveClassWeights("balanced", names, [20, 0, 60]), [2, 1, 80 / 120]);
    closeAll(resolveClassWeights("balanced", undefined, new Float64Array(3)), [1, 1, 1]);
  });

  it("refuse names of no class, and weights of zero or less", () => {
    assert.throws(
      () => resolveClassWeights({ glass: 1, plastik: 2, constructor: 3 }, names, counts),
      (thrown) =>
        thrown instanceof TrommelError &&
        thrown.code === "invalid-argument" &&
        /plastik, constructor, but the classes are glass, paper, trash\./u.test(thrown.message),
    );
    const many = Array.from({ length: 30 }, (_, i) => `class ${i}`);
    assert.throws(
      () => resolveClassWeights({ other: 2 }, many, new Float64Array(30)),
      /class 19, and 10 more\./u,
    );
    for (const classWeights of [{ glass: 0 }, { glass: -1 }, { "": 1 }, "square"])
      assert.equal(trainingRecipe.safeParse({ classWeights }).success, false);
  });
});

function closeAll(found: Float64Array, expected: readonly number[]): void {
  assert.equal(found.length, expected.length);
  for (const [i, value] of expected.entries()) assert.ok(Math.abs((found[i] ?? 9) - value) < 1e-12);
}
