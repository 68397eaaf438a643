import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { InferenceSession, Tensor } from "#gpu-worker/graph/onnx/onnx-runtime";
import { weightValues } from "#gpu-worker/backbone/layers/layers-weights";
import { chooseTuner } from "#gpu-worker/tuning/engine/choose-tuner";
import { classifierOf, tunedLayers } from "#gpu-worker/tuning/engine/tuning-state";
import { smallGroupsNotice } from "#gpu-worker/tuning/layers/trained-weights";
import {
  goldenBatch,
  goldenSetting,
  goldenStart,
  tuningGolden,
  type GoldenNetwork,
} from "../../../support/tuning/tuning-golden.js";
import { NetworkSketch } from "../../../support/tuning/network-sketch.js";
import { settingOf, startOf } from "../../../support/tuning/tuning-steps.js";

const { create: createTuner } = await chooseTuner("onnx", "cpu");
const { batch: images, classes } = tuningGolden;

/** Mean cross-entropy of the layers as serving compiles them, with a classifier. */
async function servedLoss(
  network: GoldenNetwork,
  served: { readonly model: Uint8Array; readonly kernel: Float32Array; readonly bias: Float32Array },
): Promise<number> {
  const { size, dimension } = network;
  const { pixels, targets } = goldenBatch(network);
  const planes = new Float32Array(pixels.length);
  for (const [at, value] of pixels.entries()) {
    const [image, pixel, channel] = [
      Math.floor(at / (size * size * 3)),
      Math.floor(at / 3) % (size * size),
      at % 3,
    ];
    planes[(image * 3 + channel) * size * size + pixel] = (value - 127.5) / 127.5;
  }
  const session = await InferenceSession.create(served.model, {
    executionProviders: ["cpu"],
    logSeverityLevel: 3,
  });
  const { embedding } = await session.run({ image: new Tensor("float32", planes, [images, 3, size, size]) });
  const rows = embedding?.data as Float32Array;
  let loss = 0;
  for (let image = 0; image < images; image += 1) {
    const logits = Array.from({ length: classes }, (_, index) => {
      let sum = served.bias[index] as number;
      for (let at = 0; at < dimension; at += 1) {
        sum += (rows[image * dimension + at] as number) * (served.kernel[at * classes + index] as number);
      }
      return sum;
    });
    const most = Math.max(...logits);
    const total = most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
    for (const [index, logit] of logits.entries())
      loss -= ((targets[image * classes + index] as number) * (logit - total)) / images;
  }
  await session.release();
  return loss;
}

describe("the layers of a tuned state", () => {
  for (const network of tuningGolden.networks) {
    for (const norm of ["frozen", "group"] as const) {
      it(`serve what the next step of training sees: ${network.name}, ${norm}`, async () => {
        const setting = await goldenSetting(network, { norm });
        const tuner = await createTuner(setting, goldenStart(setting, network));
        try {
          const batch = goldenBatch(network);
          await tuner.step(batch, 0.01);
          const state = tuner.state();
          const { loss } = await tuner.step(batch, 0);
          const { layers, input, output } = tunedLayers(setting, state);
          const { model } = compileLayers(
            {
              layers: new Map(layers.map((layer) => [layer.name, layer])),
              ...{ inputs: [input.name], outputs: [output] },
            },
            { inputSize: network.size },
          );
          const served = await servedLoss(network, { model, ...classifierOf(state, null) });
          assert.ok(Math.abs(served - loss) < 1e-4 * loss, `serving ${served}, training ${loss}`);
        } finally {
          await tuner.release();
        }
      });
    }
  }
});

describe("averages of a tuned state", () => {
  const network = tuningGolden.networks.find(({ name }) => name === "mobile")!;

  it("are served of what learns, and running statistics as they are", async () => {
    const setting = await goldenSetting(network, { norm: "batch", averageDecay: 0.9 });
    const tuner = await createTuner(setting, goldenStart(setting, network));
    await tuner.step(goldenBatch(network), 0.01);
    await tuner.step(goldenBatch(network), 0.01);
    const state = tuner.state();
    await tuner.release();
    const served = new Map(tunedLayers(setting, state).layers.map(({ name, weights }) => [name, weights]));
    const valuesOf = (layer: string, name: string) =>
      weightValues(served.get(layer)?.get(name) ?? assert.fail(`${layer} has no ${name}`));
    const stored = (name: string) => state.tensors.get(name)?.data;
    assert.deepEqual(valuesOf("pw1", "kernel"), stored("average/pw1/kernel"));
    assert.notDeepEqual(stored("average/pw1/kernel"), stored("weights/pw1/kernel"));
    for (const name of ["moving_mean", "moving_variance"]) {
      assert.deepEqual(valuesOf("pw1_bn", name), stored(`weights/pw1_bn/${name}`));
      assert.equal(stored(`average/pw1_bn/${name}`), undefined);
    }
  });
});

describe("a group normalisation of a tuned state", () => {
  it("has the groups that it was trained with, also without scale and shift", async () => {
    const sketch = new NetworkSketch(8);
    const x = sketch.convolution(sketch.input, [3, 48], 3);
    const name = sketch.normalization(x, 48, { scale: false, center: false });
    const setting = await settingOf(sketch, { norm: "group" });
    const { layers } = tunedLayers(setting, startOf(setting, 48));
    const { className, config } = layers.find((layer) => layer.name === name) ?? {};
    // The largest divisor of 48 that is at most 32.
    assert.deepEqual([className, config?.["groups"]], ["GroupNormalization", 24]);
  });
});

describe("group normalisations of few channels to a group", () => {
  it("are warned of, with the first one, if they train", async () => {
    const sketch = new NetworkSketch(8);
    const wide = sketch.normalization(sketch.convolution(sketch.input, [3, 128], 3), 128);
    const narrow = sketch.normalization(sketch.convolution(wide, [128, 96], 1), 96);
    const { layers } = await sketch.cut();
    const noticeOf = (...names: readonly string[]) => smallGroupsNotice(layers, new Set(names), "group");
    assert.match(
      noticeOf(wide, narrow) ?? "",
      new RegExp(
        `^1 of 2 group .* fewer than 4 channels in a group, the first of them ${narrow} \\(3 of 96\\)`,
      ),
    );
    assert.equal(noticeOf(wide), null);
    assert.equal(smallGroupsNotice(layers, new Set([narrow]), "batch"), null);
  });
});

describe("a tuner", () => {
  const network = tuningGolden.networks.find(({ name }) => name === "mobile")!;
  const adam = {
    type: "adam",
    learningRate: 1e-3,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-7,
    weightDecay: 0,
  } as const;

  async function stateAfter(cuts: readonly number[], threads: number): Promise<string> {
    const setting = await goldenSetting(network, { optimizer: adam, averageDecay: 0.9, threads });
    let state = goldenStart(setting, network);
    for (const steps of cuts) {
      const tuner = await createTuner(setting, state);
      for (let step = 0; step < steps; step += 1) await tuner.step(goldenBatch(network, 0.1), 1e-3);
      state = tuner.state();
      await tuner.release();
    }
    const bytes = [...state.tensors].map(([name, { data }]) => [
      name,
      Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64"),
    ]);
    return JSON.stringify([state.step, bytes]);
  }

  it("comes to the same bytes with one thread and with two", async () => {
    assert.equal(await stateAfter([4], 2), await stateAfter([4], 1));
  });

  it("comes to the same bytes when another one continues from its state", async () => {
    assert.equal(await stateAfter([1, 2, 1], 1), await stateAfter([4], 1));
  });

  it("refuses the state of another network", async () => {
    const setting = await goldenSetting(network);
    const { step, tensors } = goldenStart(setting, network);
    const without = new Map([...tensors].filter(([name]) => name !== "weights/pw1/kernel"));
    await assert.rejects(createTuner(setting, { step, tensors: without }), {
      code: "corrupt",
      message: /no weights\/pw1\/kernel of \[1, 1, 8, 16\].*another recipe or backbone/u,
    });
  });
});
