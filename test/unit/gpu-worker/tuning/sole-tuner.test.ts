import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chooseTuner } from "#gpu-worker/tuning/engine/choose-tuner";
import { SoleTuner } from "#gpu-worker/tuning/rounds/sole-tuner";
import {
  goldenBatch,
  goldenSetting,
  goldenStart,
  tuningGolden,
} from "../../../support/tuning/tuning-golden.js";

const network = tuningGolden.networks[0]!;
const { create } = await chooseTuner("onnx", "cpu");
const setting = await goldenSetting(network);
const fresh = () => create(setting, goldenStart(setting, network));
const batch = goldenBatch(network);

describe("the one network of a thread", () => {
  it("takes no step of a try that another one has followed", async () => {
    const sole = new SoleTuner<string>();
    const first = await sole.open("first", fresh);
    await sole.use(first, (tuner) => tuner.step(batch, 0.1));
    const second = await sole.open("second", fresh);
    await assert.rejects(
      sole.use(first, (tuner) => tuner.step(batch, 0.1)),
      { code: "unavailable", retryable: true },
    );
    await sole.close(first);
    const steps = await sole.use(second, async (tuner, part) => {
      await tuner.step(batch, 0.1);
      return [part, tuner.state().step];
    });
    assert.deepEqual(steps, ["second", 1]);
    await sole.close(second);
    await assert.rejects(
      sole.use(second, (tuner) => tuner.step(batch, 0.1)),
      { code: "unavailable" },
    );
  });

  it("is that of the last of tries that open it at once", async () => {
    const sole = new SoleTuner<string>();
    const [first, second] = await Promise.allSettled([sole.open("first", fresh), sole.open("second", fresh)]);
    assert.equal(first.status, "rejected");
    assert.ok(second.status === "fulfilled");
    assert.equal(await sole.use(second.value, (_, part) => Promise.resolve(part)), "second");
    await sole.close(second.value);
  });
});
