import assert from "node:assert/strict";
import { it } from "node:test";
import { recipe } from "@trommel/common";
import { autoHeadOf, candidatesOf, foldsOf, repeatsOf } from "@trommel/common/recipe";

const headOf = (head: Record<string, unknown>, tune: Record<string, unknown> | null = null) =>
  autoHeadOf({
    id: "run",
    recipe: recipe.parse({ name: "test", backbones: ["one"], head: { type: "auto", ...head }, tune }),
  });

it("is the tuned classifier alone if the recipe asks for it, and what it is of the run without tuning", () => {
  const names = (...of: Parameters<typeof headOf>): string[] =>
    candidatesOf(headOf(...of)).map(({ name }) => name);
  assert.deepEqual(names({ effort: "best" }, { head: "tuned" }), ["tuned"]);
  assert.deepEqual(names({ effort: "best" }, {}), names({ effort: "best" }));
});

it("tries more candidates on more folds with more effort, unless the recipe names their number", () => {
  const efforts = ["quick", "default", "best"].map((effort) => headOf({ effort }));
  assert.deepEqual(efforts.map(foldsOf), [5, 5, 10]);
  const counts = efforts.map((head) => candidatesOf(head).length);
  assert.deepEqual(
    counts,
    [...counts].sort((a, b) => a - b),
  );
  assert.equal(foldsOf(headOf({ effort: "best", folds: 3 })), 3);
});

const linear = { name: "plain", head: { type: "linear" }, penalties: [0.1] };
const perceptron = { name: "two layers", head: { type: "mlp" }, training: { schedule: { type: "cosine" } } };

it("divides the images more often with more effort, unless the recipe says how often or nothing would use it", () => {
  const efforts = ["quick", "default", "best"].map((effort) => repeatsOf(headOf({ effort })));
  assert.deepEqual(efforts, [1, 3, 5]);
  assert.equal(repeatsOf(headOf({ repeats: 2 })), 2);
  assert.equal(repeatsOf(headOf({ effort: "best", heads: "refit" })), 1);
  assert.equal(repeatsOf(headOf({ candidates: [linear] })), 1);
  assert.equal(repeatsOf(headOf({ effort: "quick", candidates: [linear, perceptron], repeats: 4 })), 4);
});

it("refuses several divisions where one is all that is used, and none or too many", () => {
  const cases: readonly [Record<string, unknown>, RegExp][] = [
    [{ effort: "quick", repeats: 2 }, /^head\.repeats is 2, and every candidate is a linear head/],
    [{ candidates: [linear], repeats: 3 }, /^head\.repeats is 3, and every candidate is a linear head/],
    [
      { heads: "refit", repeats: 2 },
      /^head\.repeats is 2, and with head\.heads refit .* leave head\.repeats out$/,
    ],
    [{ repeats: 0 }, /./],
    [{ repeats: 11 }, /./],
    [{ repeats: 1.5 }, /./],
  ];
  for (const [head, message] of cases) {
    const { error } = recipe.safeParse({ backbones: ["one"], head: { type: "auto", ...head } });
    assert.deepEqual(
      error?.issues.map(({ path }) => path.join(".")),
      ["head.repeats"],
    );
    assert.match(error?.issues[0]?.message ?? "", message);
  }
  for (const head of [{ effort: "quick" }, { heads: "refit" }, { candidates: [linear] }])
    assert.equal(repeatsOf(headOf({ ...head, repeats: 1 })), 1);
  assert.ok(!recipe.safeParse({ backbones: ["one"], head: { type: "mlp", repeats: 2 } }).success);
});
