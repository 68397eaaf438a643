import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { chooseTuner } from "#gpu-worker/tuning/engine/choose-tuner";
import { decodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import { buildStepGraph } from "#gpu-worker/tuning/engine/step-graph";
import { createCompiledTuner } from "#gpu-worker/tuning/engine/compiled-tuner";
import type { TuningState } from "#gpu-worker/tuning/engine/tuner";
import { smoothNetwork } from "../../../support/tuning/sketched-networks.js";
import {
  drawnBatch,
  largestDifference,
  normOf,
  settingOf,
  startOf,
} from "../../../support/tuning/tuning-steps.js";

const gradients = /^moments/u;

describe("a step of mixed precision", () => {
  for (const norm of ["batch", "frozen", "group"] as const) {
    // The CPU computes these nodes in single precision; a GPU was not at hand.
    it(`has the gradients of single precision to a hundredth: ${norm}`, async () => {
      const { pooling } = smoothNetwork;
      const [single, mixed] = [
        await step({ norm, pooling }),
        await step({ norm, pooling, precision: "mixed" }),
      ];
      const floor = normOf(single, gradients) / 100;
      const { difference, name } = largestDifference(mixed, single, { names: gradients, floor });
      assert.ok(difference < 0.01, `${name}: ${difference}`);
    });
  }

  it("computes every convolution and product between casts to half precision and back", async () => {
    const { setting } = await begin({ precision: "mixed" });
    const nodes = decodeModel(buildStepGraph(setting, 0).model).graph?.node ?? [];
    const casts = new Set(nodes.flatMap(({ opType, output }) => (opType === "Cast" ? (output ?? []) : [])));
    const products = nodes.filter(({ opType }) =>
      /^(Conv|ConvTranspose|Gemm|FusedMatMul)$/u.test(opType ?? ""),
    );
    assert.ok(products.length > 20);
    for (const { input, name } of products)
      assert.ok(
        input?.every((operand) => casts.has(operand)),
        name,
      );
  });

  it("is left out where its gradients overflow", async () => {
    const { tensors } = await step({ precision: "mixed" }, 1e38);
    for (const [name, { data }] of (await begin({ precision: "mixed" })).start.tensors)
      assert.deepEqual(tensors.get(name)?.data, data, name);
  });

  it("is refused without a GPU, with what to do", async () => {
    for (const engine of ["onnx", "tfjs"] as const) {
      const { create } = await chooseTuner(engine, "cpu");
      const { setting, start } = await begin({ precision: "mixed" });
      await assert.rejects(
        create(setting, start),
        (thrown) =>
          thrown instanceof TrommelError &&
          thrown.code === "unsupported" &&
          thrown.message.includes("Leave tune.precision out, or start workers with --device cuda"),
      );
    }
  });
});

async function begin(changes: Parameters<typeof settingOf>[1]) {
  const setting = await settingOf(smoothNetwork.sketch(), changes);
  return { setting, start: startOf(setting, smoothNetwork.dimension) };
}

/** @param weight of every image in the loss, times */
async function step(changes: Parameters<typeof settingOf>[1], weight = 1): Promise<TuningState> {
  const { setting, start } = await begin(changes);
  const tuner = await createCompiledTuner(setting, start, 0);
  try {
    const batch = drawnBatch(setting, { seed: 1, dimension: smoothNetwork.dimension });
    await tuner.step({ ...batch, rowShares: batch.rowShares.map((share) => share * weight) }, 0.1);
    return tuner.state();
  } finally {
    await tuner.release();
  }
}
