import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { faultKinds, scheduleFaults, type ScheduledFault } from "../../chaos/faults/fault-schedule.js";

const parts = { workers: 3, coordinators: 2 };

function firstFaults(seed: number, count: number): ScheduledFault[] {
  const schedule = scheduleFaults(seed, parts);
  return Array.from({ length: count }, () => schedule.next().value);
}

describe("the schedule of faults", () => {
  it("is the same for the same seed, and another for another", () => {
    assert.deepEqual(firstFaults(7, 500), firstFaults(7, 500));
    assert.notDeepEqual(firstFaults(7, 10), firstFaults(8, 10));
  });

  it("has every kind and every process in it", () => {
    const faults = firstFaults(1, 2000).map(({ fault }) => fault);
    assert.deepEqual([...new Set(faults.map(({ kind }) => kind))].sort(), [...faultKinds].sort());
    const killed = faults.flatMap((fault) => (fault.kind === "kill-worker" ? [fault.worker] : []));
    assert.deepEqual([...new Set(killed)].sort(), [0, 1, 2]);
    const coordinators = faults.flatMap((fault) =>
      fault.kind === "kill-coordinator" ? [fault.coordinator] : [],
    );
    assert.deepEqual([...new Set(coordinators)].sort(), [0, 1]);
  });

  it("has every kind among the first so many as there are kinds, whatever the seed", () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const kinds = firstFaults(seed, faultKinds.length).map(({ fault }) => fault.kind);
      assert.deepEqual(kinds.sort(), [...faultKinds].sort());
    }
  });

  it("has the same count of each kind in decks of one length, and no fixed order", () => {
    const kinds = firstFaults(3, 52).map(({ fault }) => fault.kind);
    assert.deepEqual(kinds.slice(0, 26).sort(), kinds.slice(26).sort());
    assert.notDeepEqual(kinds.slice(0, 26), kinds.slice(26));
    assert.equal(kinds.filter((kind) => kind === "kill-worker").length, 12);
    assert.equal(kinds.filter((kind) => kind === "cancel-run").length, 2);
  });

  it("pauses processes for longer than a lock and the look for lapsed ones", () => {
    for (const { fault } of firstFaults(2, 2000)) {
      if (fault.kind === "pause-worker") assert.ok(fault.forMs > 7500);
    }
  });
});
