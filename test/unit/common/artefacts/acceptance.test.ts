import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { acceptanceOf, type AskedAcceptance, type Thresholds } from "@trommel/common/artefacts";

const labels = ["glass", "metal"];
const novelty = { name: "novelty", type: "float32", images: 10 } as const;
const place = "s3://b/bundle";

function thresholdsOf(...values: readonly (number | null)[]): Thresholds {
  const perClass = values.map((threshold, index) => ({
    ...{ label: labels[index] ?? "", threshold },
    ...{ precision: null, coverage: null, accepted: 0 },
  }));
  return { precision: 0.9, perClass };
}

function refused(asked: AskedAcceptance, model: Parameters<typeof acceptanceOf>[1], message: RegExp): void {
  assert.throws(() => acceptanceOf(asked, model, place), { message });
}

describe("what an image must pass to get a label", () => {
  it("is nothing where nothing is asked, whatever the model tells", () => {
    const model = { labels: ["unknown", "metal"], novelty: null, thresholds: null };
    assert.deepEqual(acceptanceOf({}, model, place), { novelty: null, probability: null });
  });

  it("is one probability for all classes, or each class's own", () => {
    const model = { labels, novelty, thresholds: thresholdsOf(0.75, null) };
    assert.deepEqual(acceptanceOf({ unknownAbove: 0.99, minProbability: 0.5 }, model, place), {
      novelty: 0.99,
      probability: [0.5, 0.5],
    });
    assert.deepEqual(acceptanceOf({ minProbability: "thresholds" }, model, place), {
      novelty: null,
      probability: [0.75, null],
    });
  });

  it("is refused with what the model lacks", () => {
    const old = { labels, novelty: null, thresholds: null };
    refused({ unknownAbove: 0.99 }, old, /s3:\/\/b\/bundle does not tell how novel an image is. Train/);
    refused({ minProbability: "thresholds" }, old, /has none. Train it with 'head: auto', or give a number/);
    refused({ minProbability: 0.5 }, { ...old, labels: ["unknown", "metal"] }, /has a class of that name/);
    const unreachable = { labels, novelty, thresholds: thresholdsOf(null, null) };
    refused({ minProbability: "thresholds" }, unreachable, /no class .* is right in 0.9 of the answers/);
  });

  it("is refused where a bound is no share", () => {
    const model = { labels, novelty, thresholds: null };
    for (const value of [-0.1, 1.1, Number.NaN, 99]) {
      refused({ unknownAbove: value }, model, /cannot use --unknown-above .*number from 0 to 1/);
      refused({ minProbability: value }, model, /cannot use --min-probability .*number from 0 to 1/);
    }
  });
});
