import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { secondsLeft } from "#coordinator/run-control/tuning-progress";

describe("the time left of a tuning", () => {
  it("is unknown before the second round, and nothing after the last", () => {
    assert.equal(secondsLeft([], 5), undefined);
    assert.equal(secondsLeft([100], 5), undefined);
    assert.equal(secondsLeft([100, 130], 2), 0);
  });

  it("is the median gap of the rounds that were merged last, so a pause does not count", () => {
    assert.equal(secondsLeft([100, 130, 160], 10), 7 * 30);
    // Resumed on the next day, and then on faster workers for eleven rounds.
    assert.equal(secondsLeft([100, 130, 160, 90_000, 90_030], 10), 5 * 30);
    const faster = Array.from({ length: 11 }, (_, at) => 90_000 + 10 * at);
    assert.equal(secondsLeft([100, 130, 160, ...faster], 20), 6 * 10);
  });
});
