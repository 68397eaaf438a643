import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { undividable } from "#gpu-worker/stages/dividing/undividable";

const image = (key: string, label: string) => ({
  ...{ shard: 0, position: 0, key, label, content: key },
  tokens: [],
});

describe("the refusal of a class that was left with one image", () => {
  const given = {
    ...{ run: "first", name: "paper" },
    images: [image("glass/1.jpg", "glass"), image("paper/1.jpg", "paper")],
    isTested: () => false,
    groupOf: () => undefined,
  };
  const one = 'cannot divide the dataset: class "paper" has one image';
  const needs = "and at least two folds need one each. Add images of that class, or remove the class";

  it("counts the files that could not be read, and says where they are listed", () => {
    const { message, context } = undividable({ ...given, failed: 2 });
    assert.ok(
      message.startsWith(`${one} (2 files of it could not be read), ${needs}. 'trommel errors first'`),
    );
    assert.deepEqual(context, { class: "paper", images: 1, failed: 2 });
    assert.ok(undividable({ ...given, failed: 1 }).message.includes("(1 file of it could not be read)"));
  });

  it("speaks of no such files, and of no test part, where there are none", () => {
    assert.equal(undividable({ ...given, failed: 0 }).message, `${one}, ${needs}`);
  });
});
