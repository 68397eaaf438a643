import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe, SeededRandom, type HeadWeights } from "@trommel/common";
import { autoHeadOf, candidatesOf } from "@trommel/common/recipe";
import type { RowSet } from "#gpu-worker/head/model/row-set";
import type { StageContext } from "#gpu-worker/stages/context";
import { trainCandidate } from "#gpu-worker/stages/folding/train-candidate";
import { extractedRun } from "../../../../support/runs/extracted-run.js";

const names = ["glass", "metal", "paper"];
const width = 4;
const counts = [10, 20, 40];

const random = new SeededRandom(3);
const labels = counts.flatMap((count, index) => new Array<number>(count).fill(index));
const rows = labels.map((label) =>
  Array.from({ length: width }, (_, i) => (i === label ? 0.8 : 0) + random.normal()),
);
const rowSet = (of: readonly number[]): RowSet => ({
  features: Float32Array.from(of.flatMap((row) => rows[row] ?? [])),
  labels: Int32Array.from(of, (row) => labels[row] ?? -1),
});
const once = rowSet([...labels.keys()]);
/** Every class has 40 rows. */
const levelled = rowSet(
  [...labels.keys()].flatMap((row) => new Array<number>(40 / (counts[labels[row] ?? 0] ?? 1)).fill(row)),
);

async function solved(train: RowSet, training: object): Promise<readonly HeadWeights[]> {
  const asked = recipe.parse({ backbones: ["net"], head: { type: "auto", effort: "quick" }, training });
  const config = extractedRun(asked, width, { classes: names, tableSha256: null });
  const candidate = candidatesOf(autoHeadOf(config)).find(({ penalties }) => penalties !== null);
  assert.ok(candidate !== undefined);
  const { signal } = new AbortController();
  const context = { engine: "onnx", signal } as StageContext;
  const penalties = [0.1, 0.01];
  return await trainCandidate(
    { ...candidate, penalties },
    { train, config, repeat: 0, labels: names, context },
  );
}

function apart(first: readonly HeadWeights[], second: readonly HeadWeights[]): number {
  assert.equal(first.length, second.length);
  return Math.max(
    ...first.flatMap((head, index) =>
      Object.entries(head).flatMap(([name, { data }]) =>
        Array.from(data, (value, i) => Math.abs(value - (second[index]?.[name]?.data[i] ?? NaN))),
      ),
    ),
  );
}

describe("a solved candidate with balanced sampling", () => {
  it("is that of balanced class weights", async () => {
    const sampled = await solved(once, { sampling: "balanced" });
    assert.equal(apart(sampled, await solved(once, { classWeights: "balanced" })), 0);
    assert.ok(apart(sampled, await solved(once, {})) > 0.05);
  });

  it("is the one of rows repeated until every class has as many, with class weights on top", async () => {
    for (const classWeights of ["none", { glass: 3 }] as const) {
      const sampled = await solved(once, { sampling: "balanced", classWeights });
      // Both stop at a gradient of 1e-4, which the penalty of 0.01 turns into 1e-2 at most.
      const distance = apart(sampled, await solved(levelled, { classWeights }));
      assert.ok(distance < 5e-3, `${distance}`);
    }
  });
});
