import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { restartAfter } from "#trommel/cluster/restart-after";

describe("an embedded worker that ended", () => {
  it("starts again at once where it had a job, however often that was", () => {
    assert.equal(restartAfter({ served: true, idleDeaths: 0 }), 0);
  });

  it("starts again ever later where it had none, and then no more", () => {
    const delays = Array.from({ length: 25 }, (_, i) => restartAfter({ served: true, idleDeaths: i + 1 }));
    const given = delays.filter((delay) => delay !== undefined);
    assert.equal(given.length, 19);
    assert.deepEqual(
      given,
      [...given].sort((a, b) => a - b),
    );
    assert.ok(delays.slice(given.length).every((delay) => delay === undefined));
  });

  it("does not start again where it never served: its flags or its device are at fault", () => {
    assert.equal(restartAfter({ served: false, idleDeaths: 1 }), undefined);
  });
});
