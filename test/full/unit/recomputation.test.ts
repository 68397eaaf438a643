import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { decodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import { InferenceSession } from "#gpu-worker/graph/onnx/onnx-runtime";
import { blockSize } from "#gpu-worker/tuning/engine/block-size";
import { tunerOfGraph } from "#gpu-worker/tuning/engine/compiled-tuner";
import { planStep, stepBytes } from "#gpu-worker/tuning/engine/plan-memory";
import { buildStepGraph } from "#gpu-worker/tuning/engine/step-graph";
import type { TuningSetting, TuningState } from "#gpu-worker/tuning/engine/tuner";
import type { Recomputation } from "#gpu-worker/tuning/values/recomputation";
import { sketchedNetworks } from "../../support/tuning/sketched-networks.js";
import { drawnBatch, largestDifference, settingOf, startOf } from "../../support/tuning/tuning-steps.js";

const block = await blockSize();
const layouts = [["plain", 0] as const, ["blocked", block] as const];
const segmentations: readonly Recomputation[] = [
  { segmentBytes: 0 },
  { segmentBytes: 2e5 },
  { segmentBytes: Number.POSITIVE_INFINITY },
];

describe("values that the backward pass computes again", () => {
  for (const { name, sketch, dimension, pooling, largestBlock } of sketchedNetworks) {
    for (const norm of ["batch", "frozen", "group"] as const) {
      for (const [layout, size] of layouts) {
        const skip = layout === "blocked" && block === 0 && "this processor has no blocked layout";
        it(`change no byte of a step: ${name}, ${norm}, ${layout}`, { skip }, async () => {
          const setting = await settingOf(sketch(), { norm, pooling });
          const wanted = await stateAfter(setting, dimension, { size, recomputation: "nothing" });
          const passes = await stateAfter(setting, dimension, { size, recomputation: "passes" });
          assert.deepEqual(passes.tensors, wanted.tensors);
          for (const segments of segmentations) {
            const found = await stateAfter(setting, dimension, { size, recomputation: segments });
            if (layout === "blocked" && block <= largestBlock)
              assert.deepEqual(found.tensors, wanted.tensors);
            // A plain convolution whose output only an activation reads is merged with it, and ends in other digits.
            const { difference } = largestDifference(found, wanted, { names: /^weights/u, floor: 1e-3 });
            assert.ok(difference < 1e-6, `${JSON.stringify(segments)}: ${difference}`);
          }
        });
      }
    }
  }
});

describe("the runtime", () => {
  let folder = "";
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "trommel-recomputation-"));
  });
  after(() => rm(folder, { recursive: true }));

  for (const [layout, size] of layouts) {
    const skip = layout === "blocked" && block === 0 && "this processor has no blocked layout";
    it(`keeps second computations apart from the first ones: ${layout}`, { skip }, async () => {
      const [network] = sketchedNetworks;
      const setting = await settingOf(network!.sketch());
      const convolutions = async (recomputation: Recomputation): Promise<[written: number, left: number]> => {
        const { model } = buildStepGraph(setting, size, recomputation);
        const optimized = path.join(folder, "step.onnx");
        const session = await InferenceSession.create(model, {
          executionProviders: ["cpu"],
          optimizedModelFilePath: optimized,
          logSeverityLevel: 4,
        });
        await session.release();
        return [count(model), count(await readFile(optimized))];
      };
      const [once, onceLeft] = await convolutions("nothing");
      const [twice, twiceLeft] = await convolutions({ segmentBytes: Number.POSITIVE_INFINITY });
      assert.ok(twice > once, "no convolution is computed again");
      assert.equal(twiceLeft - onceLeft, twice - once);
    });
  }
});

describe("the memory of a step", () => {
  const megabytes = (bytes: number): number => Math.ceil(bytes / 1e6);

  it("is what its bound asks for, by the least that is computed again", async () => {
    const setting = await settingOf(sketchedNetworks[0]!.sketch(), { batchSize: 512 });
    const bytes = (recomputation: Recomputation): number =>
      stepBytes(setting, buildStepGraph(setting, 0, recomputation));
    const [whole, passes] = [bytes("nothing"), bytes("passes")];
    assert.ok(passes < whole);
    const planned = (memoryMb: number): number => stepBytes(setting, planStep({ ...setting, memoryMb }, 0));
    assert.equal(planned(megabytes(whole)), whole);
    assert.equal(planned(megabytes(passes)), passes);
  });

  it("is refused where no recomputation is enough, with what to lower", async () => {
    const setting = await settingOf(sketchedNetworks[0]!.sketch(), { batchSize: 512, memoryMb: 121 });
    assert.throws(
      () => planStep(setting, 0),
      (thrown) =>
        thrown instanceof TrommelError &&
        thrown.code === "invalid-argument" &&
        /cannot tune within 121 MB: a step of 512 images of 20 pixels needs about \d+ MB.*Lower tune\.batchSize/u.test(
          thrown.message,
        ),
    );
  });
});

async function stateAfter(
  setting: TuningSetting,
  dimension: number,
  { size, recomputation }: { readonly size: number; readonly recomputation: Recomputation },
): Promise<TuningState> {
  const graph = buildStepGraph(setting, size, recomputation);
  const tuner = await tunerOfGraph(setting, startOf(setting, dimension), graph);
  try {
    await tuner.step(drawnBatch(setting, { seed: 1, dimension }), 0.1);
    return tuner.state();
  } finally {
    await tuner.release();
  }
}

/** Convolutions of any domain, those with an activation included. */
function count(model: Uint8Array): number {
  const nodes = decodeModel(model).graph?.node ?? [];
  return nodes.filter(({ opType }) => /^(Fused)?Conv$/u.test(opType ?? "")).length;
}
