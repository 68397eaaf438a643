import assert from "node:assert/strict";
import { it } from "node:test";
import { recipe } from "@trommel/common";
import { autoHeadOf, candidatesOf, foldsOf } from "@trommel/common/recipe";

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
