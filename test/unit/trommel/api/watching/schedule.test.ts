import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSchedule } from "#trommel/api/watching/schedule";

const start = new Date(2026, 10, 30, 10, 2, 30);
const at = (...[hours, minutes, seconds]: [number, number, number]): Date =>
  new Date(2026, 10, 30, hours, minutes, seconds);

describe("the ticks of a watched source", () => {
  it("come every so many seconds from the start on, whatever a look took", () => {
    for (const every of [60, "60"]) {
      const schedule = parseSchedule(every, start);
      assert.deepEqual(schedule.next(start), at(10, 3, 30));
      assert.deepEqual(schedule.next(at(10, 3, 29)), at(10, 3, 30));
      assert.deepEqual(schedule.next(at(10, 3, 30)), at(10, 4, 30));
      // A look that took an hour and ten seconds.
      assert.deepEqual(schedule.next(at(11, 2, 40)), at(11, 3, 30));
    }
  });

  it("are those of a cron expression, in the time of this machine", () => {
    const schedule = parseSchedule("*/5 * * * *", start);
    assert.deepEqual(schedule.next(start), at(10, 5, 0));
    assert.deepEqual(schedule.next(at(10, 5, 0)), at(10, 10, 0));
    const nightly = parseSchedule("15 3 * * *", start);
    assert.deepEqual(nightly.next(start), new Date(2026, 11, 1, 3, 15));
  });

  it("are refused where they are neither, and where none is left", () => {
    for (const every of [0, -1, 1.5, Number.NaN, "0", "1.5", "often", "61 * * * *", "0 0 0 1 1 * 2020"]) {
      assert.throws(() => parseSchedule(every, start), {
        code: "invalid-argument",
        message: /cannot watch every .*Give seconds, such as 60, or a cron expression/,
      });
    }
  });
});
