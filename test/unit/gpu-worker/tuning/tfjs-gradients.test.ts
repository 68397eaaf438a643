import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import "@tensorflow/tfjs-backend-cpu";
import { loadTensorflow } from "#gpu-worker/graph/tensorflow";
import { blockSize } from "#gpu-worker/tuning/engine/block-size";
import { createCompiledTuner } from "#gpu-worker/tuning/engine/compiled-tuner";
import { createTfjsTuner } from "#gpu-worker/tuning/engine/tfjs-tuner";
import type { CreateTuner, TuningState } from "#gpu-worker/tuning/engine/tuner";
import { layerOperations } from "#gpu-worker/tuning/layers/layer-operations";
import { sketchedNetworks, type SketchedNetwork } from "../../../support/tuning/sketched-networks.js";
import {
  drawnBatch,
  largestDifference,
  normOf,
  settingOf,
  startOf,
} from "../../../support/tuning/tuning-steps.js";

const block = await blockSize();
const { tf } = await loadTensorflow();
/** Of a gradient's norm; of a thousandth of all gradients' norm where symmetry makes it nothing. */
const tolerance = 1e-4;
const names = /^moments\/velocity\//;

interface Step {
  readonly state: TuningState;
  readonly loss: number;
}

async function stepBy(
  createTuner: CreateTuner,
  { sketch, dimension, pooling }: SketchedNetwork,
  norm: "batch" | "frozen" | "group",
): Promise<Step> {
  const setting = await settingOf(sketch(), { norm, pooling });
  const tuner = await createTuner(setting, startOf(setting, dimension));
  try {
    const { loss } = await tuner.step(drawnBatch(setting, { seed: 1, dimension }), 0);
    return { state: tuner.state(), loss };
  } finally {
    await tuner.release();
  }
}

function assertAlike(found: Step, wanted: Step): void {
  assert.ok(
    Math.abs(found.loss - wanted.loss) < 1e-5 * wanted.loss,
    `loss ${found.loss}, not ${wanted.loss}`,
  );
  const floor = normOf(wanted.state, names) / 1000;
  const { difference, name } = largestDifference(found.state, wanted.state, { names, floor });
  assert.ok(difference <= tolerance, `${name} is ${difference} apart`);
}

describe("gradients of a tuning step in TensorFlow.js and compiled", () => {
  it("are tested through every layer type that can be tuned", async () => {
    const cuts = await Promise.all(sketchedNetworks.map(({ sketch }) => sketch().cut()));
    const tested = new Set(cuts.flatMap(({ layers }) => layers.map(({ className }) => className)));
    assert.deepEqual(
      Object.keys(layerOperations).filter((type) => !tested.has(type)),
      [],
    );
  });

  for (const network of sketchedNetworks) {
    for (const norm of ["batch", "frozen", "group"] as const) {
      describe(`${network.name}, ${norm}`, () => {
        let wanted: Step;
        before(async () => {
          const tensors = tf.memory().numTensors;
          wanted = await stepBy(createTfjsTuner, network, norm);
          assert.equal(tf.memory().numTensors, tensors, "it leaves tensors behind");
        });

        it("agree in plain ONNX", async () => {
          assertAlike(
            await stepBy((setting, start) => createCompiledTuner(setting, start, 0), network, norm),
            wanted,
          );
        });

        const skip = block === 0 && "this processor has no blocked layout";
        it("agree in the blocked layout", { skip }, async () => {
          assertAlike(
            await stepBy((setting, start) => createCompiledTuner(setting, start, block), network, norm),
            wanted,
          );
        });

        // The CPU backend is slow, and the norms differ in no kernel that the wasm backend lacks.
        if (norm !== "batch") return;
        it("agree on TensorFlow.js's CPU backend, which has every kernel itself", async () => {
          await tf.setBackend("cpu");
          try {
            assertAlike(await stepBy(createTfjsTuner, network, norm), wanted);
          } finally {
            await tf.setBackend("wasm");
          }
        });
      });
    }
  }
});
