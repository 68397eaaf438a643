import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { treatmentAfter, workerDeathsAtMost } from "#common/jobs/worker-deaths";
import fc from "fast-check";

const deaths = fc.integer({ min: 0, max: 3000 });
const blamed = fc.integer({ min: 0, max: 300 });

describe("what the deaths of its workers mean for a job", () => {
  it("leaves a job alone whose workers lived, and tries its files one by one after a single death", () => {
    assert.equal(treatmentAfter(0, 0), "together");
    assert.equal(treatmentAfter(1, 0), "one-by-one");
    assert.equal(treatmentAfter(workerDeathsAtMost, 0), "one-by-one");
    assert.equal(treatmentAfter(workerDeathsAtMost + 1, 0), "give-up");
  });

  it("gives up in the end, whatever is blamed, and never comes back from it", () => {
    fc.assert(
      fc.property(deaths, blamed, (count, files) => {
        const now = treatmentAfter(count, files);
        const later = treatmentAfter(count + 1, files);
        assert.ok(now !== "give-up" || later === "give-up");
        assert.equal(treatmentAfter(workerDeathsAtMost + 4 * files + 1, files), "give-up");
      }),
    );
  });

  it("lets every file at fault cost a death among others and three alone without giving up", () => {
    // A shard of nothing but such files: each costs four deaths before it is blamed.
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 256 }), (files) => {
        for (let count = 1; count <= 4 * files; count += 1) {
          assert.equal(treatmentAfter(count, Math.floor((count - 1) / 4)), "one-by-one");
        }
      }),
    );
  });
});
