import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe } from "@trommel/common";
import { candidatesOf, type AutoHead } from "@trommel/common/recipe";
import { chooseAndMeasure } from "#gpu-worker/stages/folding/estimates";

/** What two folds say of 40 images of two classes, of which the first `wrong` answers are wrong, all by a margin of 9. */
function measured(wrong: number) {
  const { head } = recipe.parse({ backbones: ["net"], head: { type: "auto", effort: "quick" } });
  const [candidate] = candidatesOf(head as AutoHead);
  assert.ok(candidate !== undefined);
  const labels = Int32Array.from({ length: 40 }, (_, image) => image % 2);
  const logits = Float64Array.from({ length: 80 }, (_, i) => {
    const image = Math.floor(i / 2);
    const isTrue = i % 2 === labels[image];
    return isTrue === image >= wrong ? 9 : 0;
  });
  return chooseAndMeasure({
    choices: [
      { candidate, at: { candidate: 0, variant: 0 }, penalty: 1, repeats: 1, logits, alone: undefined },
    ],
    ...{
      labels,
      classNames: ["glass", "paper"],
      foldOf: labels.map((_, image) => (image % 4) >> 1),
      folds: 2,
    },
    ...{ groupOf: Int32Array.from(labels.keys()), by: "logLoss", seed: 1, chosenOn: "the images of 2 folds" },
  });
}

describe("the temperature of a run", () => {
  it("does not make a model as sure as can be whose answers are all right, and says so", () => {
    const { temperature, notes, figures } = measured(0);
    assert.equal(notes.length, 1);
    assert.match(
      notes[0] ?? "",
      /\(0 of 40 are wrong\): its temperature, \d\.\d\d, follows from a weak prior/,
    );
    assert.ok(notes[0]?.includes(temperature.toFixed(2)));
    assert.ok(temperature > 0.5 && temperature < 1);
    assert.ok(figures.logLoss.value > 1e-6);
  });

  it("is said nothing of where some answers are wrong", () => {
    const { temperature, notes } = measured(4);
    assert.deepEqual(notes, []);
    // 4 of 40 wrong: without the prior the temperature would make the answers 90 % sure, 9 / T = log 9.
    assert.ok(Math.abs(temperature - 9 / Math.log(9)) < 0.25, `${temperature}`);
  });
});
