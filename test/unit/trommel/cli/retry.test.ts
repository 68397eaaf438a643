import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeNothingRecovered } from "#trommel/cli/commands/retry";

describe("a retried run of which no file was recovered", () => {
  const before = { ok: 30, failedByReason: { empty: 2, truncated: 3 } };

  it("says how many of those that were tried could not be read", () => {
    const lines = [
      describeNothingRecovered(before, { ok: 30 }, undefined),
      describeNothingRecovered(before, { ok: 30 }, ["empty"]),
      describeNothingRecovered({ ok: 30, failedByReason: { empty: 1 } }, { ok: 30 }, undefined),
    ];
    assert.deepEqual(lines, [
      "none of the 5 files could be read this time",
      "none of the 2 files could be read this time",
      "the file could not be read this time either",
    ]);
    assert.equal(describeNothingRecovered(before, { ok: 31 }, undefined), undefined);
  });
});
