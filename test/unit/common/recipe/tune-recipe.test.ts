import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe } from "@trommel/common";
import { repeatsOf } from "@trommel/common/recipe";

const parse = (fields: object) => recipe.safeParse({ backbones: ["net"], ...fields });

describe("a recipe that tunes", () => {
  it("has the settings that were measured as best where nothing is written", () => {
    const { tune, split } = recipe.parse({ backbones: ["net"], tune: {} });
    assert.equal(split.test, 0.15);
    assert.deepEqual(
      [
        tune?.blocks,
        tune?.norm,
        tune?.epochs,
        tune?.batchSize,
        tune?.labelSmoothing,
        tune?.statisticsMomentum,
      ],
      ["half", "batch", 10, 32, 0.05, 0.05],
    );
    assert.deepEqual([tune?.optimizer.type, tune?.optimizer.learningRate], ["adamw", 5e-4]);
    assert.deepEqual(tune?.schedule, { type: "cosine", minimum: 0, warmupEpochs: 1 });
    assert.deepEqual(tune?.outer, { type: "average" });
  });

  it("keeps the test part that it is given, and leaves other recipes without one", () => {
    assert.equal(recipe.parse({ backbones: ["net"], tune: {}, split: { test: 0.3 } }).split.test, 0.3);
    const plain = recipe.parse({ backbones: ["net"] });
    assert.deepEqual([plain.tune, plain.split.test], [null, null]);
  });

  it("is measured on its folds where it has several, as many of the head as of networks, without a test part", () => {
    const { tune, split, head } = recipe.parse({ backbones: ["net"], tune: { folds: 4 } });
    assert.deepEqual([tune?.folds, split.test], [4, null]);
    assert.deepEqual(head.type === "auto" ? head.folds : undefined, 4);
    const asked = recipe.parse({
      backbones: ["net"],
      tune: { folds: 3 },
      split: { test: 0.2 },
      head: { folds: 3 },
    });
    assert.equal(asked.split.test, 0.2);
    assert.deepEqual(recipe.parse(asked), asked);
    const single = recipe.parse({ backbones: ["net"], tune: {}, head: { folds: 7 } }).head;
    assert.equal(single.type === "auto" ? single.folds : undefined, 7);
  });

  it("has one division into folds, and so has the run without tuning, whose recipe is the same otherwise", () => {
    for (const tune of [{}, { folds: 4 }]) {
      const { head } = recipe.parse({ backbones: ["net"], tune, head: { effort: "best" } });
      assert.equal(head.type === "auto" ? repeatsOf(head) : undefined, 1);
    }
  });

  for (const [what, fields, path] of [
    ["two backbones", { backbones: ["a", "b"], tune: {} }, "backbones"],
    ["a single head", { head: { type: "se" }, tune: {} }, "head.type"],
    [
      "the tuned classifier, trained once more",
      { tune: { head: "tuned" }, head: { heads: "refit" } },
      "head.heads",
    ],
    [
      "a gate that is wider than the embedding",
      { tune: { gate: { reduction: 0.5 } } },
      "tune.gate.reduction",
    ],
    ["fp16", { precision: "fp16", tune: {} }, "precision"],
    ["no fold", { tune: { folds: 0 } }, "tune.folds"],
    ["other folds of the head", { tune: { folds: 3 }, head: { folds: 5 } }, "head.folds"],
    ["several divisions", { tune: {}, head: { repeats: 2 } }, "head.repeats"],
    ["folds and a chosen checkpoint", { tune: { folds: 3, keep: "loss" } }, "tune.keep"],
    ["folds and patience", { tune: { folds: 3, patience: 1 } }, "tune.patience"],
    ["folds and a plateau", { tune: { folds: 3, schedule: { type: "plateau" } } }, "tune.schedule.type"],
    ["folds and another run's network", { tune: { folds: 3, from: "other" } }, "tune.from"],
    [
      "networks of folds under a head that is trained once more",
      { tune: { folds: 3, networks: "folds" }, head: { heads: "refit" } },
      "head.heads",
    ],
    ["networks of folds without folds", { tune: { networks: "folds" } }, "tune.networks"],
    ["a solver", { tune: { optimizer: { type: "lbfgs" } } }, "tune.optimizer.type"],
    ["a warm-up as long as all epochs", { tune: { epochs: 1 } }, "tune.schedule.warmupEpochs"],
    ["a schedule that ends above its rate", { tune: { schedule: { minimum: 1 } } }, "tune.schedule.minimum"],
    ["no replica", { tune: { replicas: 0 } }, "tune.replicas"],
    ["a batch of one, which has no statistics", { tune: { batchSize: 1 } }, "tune.batchSize"],
    ["blocks of another form", { tune: { blocks: "some" } }, "tune.blocks"],
  ] as const) {
    it(`is refused with ${what}`, () => {
      const { error } = parse(fields);
      assert.deepEqual(
        error?.issues.map((issue) => issue.path.join(".")),
        [path],
      );
    });
  }
});
