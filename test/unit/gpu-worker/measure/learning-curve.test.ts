import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { learningCurveSentence } from "#gpu-worker/measure/learning-curve";

const curve = (...accuracies: number[]) =>
  [250, 500, 750, 1000].map((images, at) => ({ images, accuracy: accuracies[at] ?? 0 }));

describe("the sentence on more photographs", () => {
  it("names the gain of a doubling: from 500 to 1000 images by 3 points", () => {
    // log2(750 / 500) of 3 points are 1.75: the points lie on one line.
    const line = curve(0.8, 0.85, 0.85 + 0.03 * Math.log2(1.5), 0.88);
    assert.match(
      learningCurveSentence(line, 20_000),
      /likely to help: a line through the last points rises by 3\.0 percentage points/,
    );
  });

  it("does not promise what chance could have done", () => {
    assert.match(learningCurveSentence(curve(0.8, 0.85, 0.86, 0.87), 100), /may help.*within chance/);
    assert.match(learningCurveSentence(curve(0.8, 0.88, 0.881, 0.88), 20_000), /hardly help/);
  });

  it("says nothing of a single point", () => {
    assert.match(learningCurveSentence([{ images: 100, accuracy: 0.5 }], 50), /too few points/);
  });
});
