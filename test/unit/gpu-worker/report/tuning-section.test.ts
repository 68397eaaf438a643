import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RoundFigures } from "@trommel/common/artefacts";
import { tuningSection } from "#gpu-worker/report/tuning/tuning-section";

/** Three epochs of two rounds; the training loss falls evenly, the held-out one to the third round and then rises. */
const figures = [3, 2.5, 2, 1.5, 1, 0.5].map((loss, round): RoundFigures => ({
  ...{ round, epoch: 1 + Math.floor(round / 2), steps: 4 * (round + 1) },
  training: { loss, accuracy: 0.4 + round / 10 },
  heldOut: { images: 40, loss: [2.5, 2, 1, 1.5, 2, 2.5][round] ?? 0, accuracy: 0.8 },
}));

/** The points of every line of the chart, in its pixels. */
function linesOf(html: string): [number, number][][] {
  const lines = [...html.matchAll(/<path d="(M[\d. L-]+)"[^>]*fill="none"[^>]*stroke-width="2"/g)];
  return lines.map(([, path = ""]) => {
    const numbers = [...path.matchAll(/-?[\d.]+/g)].map(Number);
    return Array.from({ length: numbers.length / 2 }, (_, at): [number, number] => [
      numbers[2 * at] ?? NaN,
      numbers[2 * at + 1] ?? NaN,
    ]);
  });
}

describe("how a backbone was tuned, in the report", () => {
  it("draws loss and accuracy of every round, of training and held-out images", () => {
    const lines = linesOf(tuningSection({ figures, keptRound: 2, keep: "loss" }));
    assert.equal(lines.length, 4);
    const [training = [], heldOut = []] = lines;
    assert.equal(training.length, 6);
    for (let round = 2; round < 6; round += 1) {
      const steps = [0, 1].map(
        (axis) => (training[round]?.[axis] ?? NaN) - (training[round - 1]?.[axis] ?? NaN),
      );
      const first = [0, 1].map((axis) => (training[1]?.[axis] ?? NaN) - (training[0]?.[axis] ?? NaN));
      for (const axis of [0, 1]) assert.ok(Math.abs((steps[axis] ?? NaN) - (first[axis] ?? NaN)) < 0.1);
    }
    // Downwards is a smaller loss, and the held-out curve turns at the third round.
    assert.deepEqual(heldOut.map(([, y]) => y).indexOf(Math.max(...heldOut.map(([, y]) => y))), 2);
    assert.ok(Math.abs((heldOut[0]?.[1] ?? NaN) - (training[1]?.[1] ?? 0)) < 0.1);
  });

  it("says what the held-out images have chosen, and whose figures to rely on", () => {
    const best = tuningSection({ figures, keptRound: 2, keep: "loss" });
    assert.match(best, /round 3 of 6, with the least loss on the held-out images/);
    assert.match(
      best,
      /never saw the 40 held-out images, but they chose the round, the head and the temperature: .*those of the test part do not/,
    );
    const last = tuningSection({ figures, keptRound: 5, keep: "last" });
    assert.match(last, /of the last of 6 rounds\. .*they chose the head and the temperature/);
    const epochs = [...last.matchAll(/<tr><td[^>]*>(\d)<\/td><td[^>]*>([\d.]+)<\/td>/g)];
    assert.deepEqual(
      epochs.map(([, epoch, loss]) => [epoch, loss]),
      [
        ["1", "2.500"],
        ["2", "1.500"],
        ["3", "0.500"],
      ],
    );
  });

  it("draws training alone of a network that was tuned on every image", () => {
    const whole = figures.map((of) => ({ ...of, heldOut: null }));
    const section = tuningSection({ figures: whole, keptRound: 5, keep: "last" });
    assert.equal(linesOf(section).length, 2);
    assert.match(section, /nothing here says how good it is on new ones/);
    assert.doesNotMatch(section, /NaN/);
  });

  it("names the runs of the folds, whose reports have the curves, if the model takes their networks", () => {
    const section = tuningSection({ foldRuns: ["x-fold-1", "x-fold-2"] });
    assert.match(section, /x-fold-1, x-fold-2\. Their reports have loss and accuracy of every round/);
    assert.match(section, /of one network for each image\. The mean of all 2.*only a test part measures it/);
    assert.deepEqual(linesOf(section), []);
  });
});
