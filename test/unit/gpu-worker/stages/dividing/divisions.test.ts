import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { drawDivisions } from "#gpu-worker/stages/dividing/divisions";
import type { DividedImage } from "#gpu-worker/stages/dividing/divided-images";

const labels = ["glass", "paper"];

/** Groups of images by the first letters of their labels. */
function membersOf(groups: readonly string[]): DividedImage[][] {
  return groups.map((letters, group) =>
    [...letters].map((letter, position): DividedImage => {
      const key = `${group}-${position}`;
      const label = letter === "g" ? "glass" : "paper";
      return { shard: group, position, key, label, content: key, tokens: [key] };
    }),
  );
}

function drawn(groups: readonly string[], repeats: number) {
  return drawDivisions(membersOf(groups), labels, {
    ...{ seed: 0, repeats, folds: 2, test: null, before: undefined },
    fixedPart: () => undefined,
    undividable: (index) => new Error(labels[index]),
  });
}

describe("divisions into folds", () => {
  it("say which classes came into one fold, where groups hold several", () => {
    // By size, whatever the ranks: six papers; a glass with four papers joins no fold with six, and the pair joins that with four.
    const groups = ["pppppp", "gpppp", "gp"];
    const once = drawn(groups, 1);
    assert.deepEqual(once.parts, [[0, 1, 1]]);
    assert.deepEqual(once.notes, [
      'All images of class "glass" outside the test part are in one fold, because groups hold several classes: the heads that predict them have never seen the class, and its figures are too low.',
    ]);
    const { notes } = drawn(groups, 3);
    assert.equal(notes.length, 1);
    assert.match(notes[0] ?? "", /are in one fold in 3 of the 3 divisions, because/);
  });

  it("say nothing where each class is in several folds", () => {
    assert.deepEqual(drawn(["gp", "gp", "g", "p"], 3).notes, []);
  });
});
