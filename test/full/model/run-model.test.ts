import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { afterFailure, flowOf, phaseOf } from "#common/jobs/run-rules";
import type { ModelRules } from "../../model/run-model-state.js";
import fc from "fast-check";
import { calmScript, playCalmRun, playRun, runScript } from "../../model/run-model-properties.js";

const seed = 20261122;

/** Each breaks one rule that production goes by, or one that BullMQ and the stages are trusted with. */
const broken: readonly (readonly [string, Partial<ModelRules>])[] = [
  ["a failed child leaves its parent waiting", { failureReleasesParent: false }],
  ["a failed job stays and is adopted by a plan that runs again", { removeOnFail: false }],
  [
    "a gram waits for the split, plan or no plan",
    { mayStart: ({ written }) => (written ? "start" : "wait") },
  ],
  ["a gram does not wait for the split", { mayStart: () => "start" }],
  [
    "who lost a job tells of its failure",
    { afterFailure: (failure) => afterFailure({ ...failure, holdsLock: true }) },
  ],
  ["no failure is told", { afterFailure: (failure) => ({ ...afterFailure(failure), tell: false }) }],
  [
    "a try that fails is repeated for ever",
    { afterFailure: (failure) => ({ ...afterFailure(failure), next: "retry" }) },
  ],
  ["an attempt is never over", { isAttemptOver: () => false }],
  ["a job does not look for its marker", { looksForMarker: false }],
  ["a stage does without what is missing", { requiresInputs: false }],
  ["a listing is written over", { listsOnce: false }],
  [
    "a run is complete when its last job ends",
    {
      phaseOf: (known) => (known.root === "completed" ? "complete" : phaseOf({ ...known, complete: false })),
    },
  ],
  [
    "a run that Redis lost counts as running",
    { phaseOf: (known) => phaseOf({ ...known, root: known.root === "unknown" ? "waiting" : known.root }) },
  ],
  [
    "a resumed run leaves the head out",
    {
      flowOf: (kind, options) => ({
        ...flowOf(kind, options),
        children: flowOf(kind, options).children.flatMap(({ children }) => children),
      }),
    },
  ],
];

describe("a try that failed", () => {
  const after = (code: "store-full" | "unavailable", attemptsMade: number) =>
    afterFailure({ code, retryable: true, attemptsMade, attempts: 8, holdsLock: true }).next;

  it("is repeated less often where the store is full, for somebody has to make room", () => {
    assert.deepEqual(
      [0, 1, 2, 3].map((made) => after("store-full", made)),
      ["retry", "retry", "fail", "fail"],
    );
    assert.deepEqual(
      [2, 6, 7].map((made) => after("unavailable", made)),
      ["retry", "retry", "fail"],
    );
  });
});

describe("the model of run control", () => {
  it("ends, ends once, balances its ledger and repeats nothing, in 3000 interleavings", (t) => {
    t.diagnostic(`seed ${seed}`);
    fc.assert(
      fc.property(runScript, (script) => void playRun(script)),
      { seed, numRuns: 3000 },
    );
  });

  it("needs nobody where workers and coordinators die, sleep, hand back or fail a try, in 3000 interleavings", () => {
    fc.assert(
      fc.property(calmScript, (script) => playCalmRun(script)),
      { seed, numRuns: 3000 },
    );
  });

  for (const [rule, rules] of broken) {
    it(`would not hold where ${rule}`, (t) => {
      const options = { seed, numRuns: 3000, endOnFailure: true };
      const any = fc.check(
        fc.property(runScript, (script) => void playRun(script, rules)),
        options,
      );
      if (any.failed) return t.diagnostic(told(any.errorInstance));
      const calm = fc.check(
        fc.property(calmScript, (script) => playCalmRun(script, rules)),
        options,
      );
      assert.ok(calm.failed, "no property notices");
      t.diagnostic(told(calm.errorInstance));
    });
  }
});

function told(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
