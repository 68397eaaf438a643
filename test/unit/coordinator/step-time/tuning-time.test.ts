import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { refuseLongRounds, timeOfAll, tuningTime } from "#coordinator/step-time/tuning-time";

const rounds = {
  ...{ images: 280, batchSize: 8, replicas: 3, epochs: 4, stepsPerEpoch: 11, localSteps: 5 },
  ...{ roundsPerEpoch: 3, rounds: 12 },
};
const times = { openMs: 700, stepMs: 2000, heldOutImageMs: 10, drainMs: 12_000 };

describe("the time of tuning", () => {
  it("is that of replicas in turns on the workers that there are, with a merge after every round", () => {
    const heldOutImages = 70;
    // Opened once more and 70 images measured by each merge: 1.4 s beside the replicas' turns.
    for (const [workers, turns] of [
      [1, 3],
      [2, 2],
      [3, 1],
      [9, 1],
    ] as const) {
      const { stepSeconds, roundSeconds, seconds } = tuningTime(times, rounds, { heldOutImages, workers });
      assert.equal(stepSeconds, 2);
      assert.ok(Math.abs(roundSeconds - (1.4 + turns * (0.7 + 5 * 2))) < 1e-9, `${workers}`);
      assert.ok(Math.abs(seconds - (12 * (1.4 + turns * 0.7) + 4 * turns * 11 * 2)) < 1e-9, `${workers}`);
    }
  });

  it("is shared by the networks that are tuned at the same time", () => {
    const network = { workers: 4, stepSeconds: 2, roundSeconds: 12, seconds: 100 };
    const five = Array.from({ length: 5 }, () => ({ ...network, seconds: 80 }));
    const secondsWith = (replicas: number): number => timeOfAll(network, five, { replicas }).seconds;
    // 500 s of work in four, two and one streams.
    assert.deepEqual([1, 2, 3, 9].map(secondsWith), [125, 250, 500, 500]);
    assert.deepEqual(timeOfAll(network, [], { replicas: 1 }), network);
  });

  it("refuses a round that outlasts the drain of a worker, and says how many steps do not", () => {
    assert.doesNotThrow(() => refuseLongRounds("x", times, rounds));
    assert.doesNotThrow(() => refuseLongRounds("x", { ...times, stepMs: 9e9, drainMs: null }, rounds));
    assert.throws(() => refuseLongRounds("x", times, { ...rounds, localSteps: 6 }), {
      code: "invalid-argument",
      message:
        /rounds of 6 steps: .* a step takes 2\.00 s and a round 12\.7 s, .* longer than 12\.0 s\. Set tune\.localSteps to 5 or less/,
    });
    assert.throws(() => refuseLongRounds("x", { ...times, stepMs: 12_000 }, { ...rounds, localSteps: 1 }), {
      message: /Set tune\.localSteps to 1 and lower tune\.batchSize/,
    });
  });
});
