import assert from "node:assert/strict";
import { it } from "node:test";
import { bootstrapFigures } from "#gpu-worker/measure/bootstrap/bootstrap-figures";
import { figures } from "#gpu-worker/measure/figures";
import { measuredFigures } from "#gpu-worker/measure/measured-figures";

it("gives shares of 0 and 1 Wilson's interval, as statsmodels' proportion_confint has it", () => {
  // Five images of the first class, all right; three of the second, all taken for the third; none of the third.
  const labels = Int32Array.of(0, 0, 0, 0, 0, 1, 1, 1);
  const probabilities = Float64Array.from(
    [...labels].flatMap((label) => (label === 0 ? [0.8, 0.1, 0.1] : [0.1, 0.2, 0.7])),
  );
  const { intervals } = bootstrapFigures(probabilities, labels, 3, { draws: 50, seed: 1 });
  const [first, second, third] = measuredFigures(figures(probabilities, labels, 3), intervals, [
    "a",
    "b",
    "c",
  ]).perClass;
  const near = (value: number | undefined, expected: number): void =>
    assert.ok(Math.abs((value ?? NaN) - expected) < 1e-4, `${value} is not ${expected}`);
  near(first?.recall?.low, 0.5655);
  near(first?.recall?.high, 1);
  near(first?.precision?.low, 0.5655);
  near(second?.recall?.low, 0);
  near(second?.recall?.high, 0.5615);
  near(third?.precision?.high, 0.5615);
});
