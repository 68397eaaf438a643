import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { blockSize } from "#gpu-worker/tuning/engine/block-size";
import { createCompiledTuner } from "#gpu-worker/tuning/engine/compiled-tuner";
import {
  goldenBatch,
  goldenSetting,
  goldenStart,
  summaryOf,
  tuningGolden,
  type Summary,
} from "../../../support/tuning/tuning-golden.js";

const block = await blockSize();
/** Of the length of a gradient; of a thousandth of all gradients' length where symmetry makes it nothing. */
const tolerance = 1e-4;

describe("gradients of a tuning step", () => {
  for (const network of tuningGolden.networks) {
    for (const norm of ["batch", "frozen", "group"] as const) {
      for (const [layout, size] of [["plain", 0] as const, ["blocked", block] as const]) {
        const skip = layout === "blocked" && block === 0 && "this processor has no blocked layout";
        it(`are PyTorch's: ${network.name}, ${norm}, ${layout}`, { skip }, async () => {
          const setting = await goldenSetting(network, { norm });
          const tuner = await createCompiledTuner(setting, goldenStart(setting, network), size);
          try {
            const { loss } = await tuner.step(goldenBatch(network), 0);
            const golden = network.cases[norm];
            assert.ok(Math.abs(loss - golden.loss) < 1e-5 * golden.loss, `loss ${loss}, ${golden.loss}`);
            const { tensors } = tuner.state();
            const all = Math.hypot(...Object.values(golden.gradients).map(([length]) => length));
            for (const [name, wanted] of Object.entries(golden.gradients)) {
              const found = tensors.get(`moments/velocity/${name}`)?.data as Float32Array;
              assertClose(summaryOf(found), wanted, Math.max(wanted[0], all / 1000), name);
            }
          } finally {
            await tuner.release();
          }
        });
      }
    }
  }
});

describe("ten steps of tuning", () => {
  const network = tuningGolden.networks.find(({ name }) => name === "mobile")!;
  for (const [kind, { losses, state, optimizer, ...rest }] of Object.entries(tuningGolden.steps)) {
    for (const [layout, size] of [["plain", 0] as const, ["blocked", block] as const]) {
      const skip = layout === "blocked" && block === 0 && "this processor has no blocked layout";
      it(`end where PyTorch's do: ${kind}, ${layout}`, { skip }, async () => {
        const rateFactors = new Map(Object.entries(tuningGolden.rates));
        const setting = await goldenSetting(network, {
          ...{ optimizer, rateFactors, clipNorm: null, averageDecay: null },
          ...rest,
        });
        const tuner = await createCompiledTuner(setting, goldenStart(setting, network), size);
        try {
          const batch = goldenBatch(network, 0.1);
          for (const wanted of losses) {
            const { loss } = await tuner.step(batch, optimizer.learningRate);
            assert.ok(Math.abs(loss - wanted) < tolerance * wanted, `loss ${loss}, ${wanted}`);
          }
          const { step, tensors } = tuner.state();
          assert.equal(step, losses.length);
          for (const [name, wanted] of Object.entries(state)) {
            assertClose(summaryOf(tensors.get(name)?.data as Float32Array), wanted, wanted[0], name);
          }
        } finally {
          await tuner.release();
        }
      });
    }
  }
});

function assertClose(found: Summary, wanted: Summary, scale: number, name: string): void {
  for (const [at, value] of wanted.entries()) {
    const apart = Math.abs((found[at] as number) - value);
    assert.ok(
      apart <= tolerance * scale,
      `${name}: ${found.join(", ")}, and PyTorch has ${wanted.join(", ")}`,
    );
  }
}
