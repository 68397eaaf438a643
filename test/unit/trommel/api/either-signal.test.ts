import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eitherSignal } from "#trommel/api/abortable";

describe("the signal of a call", () => {
  it("aborts with the call's own and with its handle's", () => {
    for (const which of ["own", "handle"] as const) {
      const [own, handle] = [new AbortController(), new AbortController()];
      const signal = eitherSignal({ signal: own.signal }, handle.signal);
      assert.equal(signal.aborted, false);
      (which === "own" ? own : handle).abort(which);
      assert.equal(signal.reason, which);
    }
  });

  it("is the handle's for a call without one", () => {
    const handle = new AbortController();
    assert.equal(eitherSignal({}, handle.signal), handle.signal);
  });
});
