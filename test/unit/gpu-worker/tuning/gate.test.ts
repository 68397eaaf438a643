import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import type { CutLayers } from "#gpu-worker/backbone/layers/cut-layers";
import { weightValues } from "#gpu-worker/backbone/layers/layers-weights";
import { InferenceSession, Tensor } from "#gpu-worker/graph/onnx/onnx-runtime";
import { blockSize } from "#gpu-worker/tuning/engine/block-size";
import { createCompiledTuner } from "#gpu-worker/tuning/engine/compiled-tuner";
import { createTfjsTuner } from "#gpu-worker/tuning/engine/tfjs-tuner";
import type { CreateTuner, TuningSetting, TuningState } from "#gpu-worker/tuning/engine/tuner";
import { tunedLayers } from "#gpu-worker/tuning/engine/tuning-state";
import { gateParameterCount, withGate } from "#gpu-worker/tuning/layers/gate";
import { NetworkSketch } from "../../../support/tuning/network-sketch.js";
import { drawnBatch, largestDifference, settingOf, startOf } from "../../../support/tuning/tuning-steps.js";

const [dimension, images, size] = [24, 3, 12] as const;
const gate = { reduction: 5 };
const width = 5;

/** A network with a vector at its end. */
function sketch(): NetworkSketch {
  const own = new NetworkSketch(size);
  let x = own.convolution(own.input, [3, dimension], 3, { strides: 2, use_bias: false });
  x = own.add("Activation", own.normalization(x, dimension), { activation: "swish" });
  own.add("GlobalAveragePooling2D", x);
  return own;
}

async function embed({ layers, input, output }: CutLayers): Promise<Float32Array> {
  const { model } = compileLayers(
    {
      layers: new Map(layers.map((layer) => [layer.name, layer])),
      ...{ inputs: [input.name], outputs: [output] },
    },
    { inputSize: size },
  );
  const session = await InferenceSession.create(model, { executionProviders: ["cpu"], logSeverityLevel: 3 });
  const planes = Float32Array.from({ length: images * 3 * size * size }, (_, at) => Math.sin(at * 0.37));
  const { embedding } = await session.run({ image: new Tensor("float32", planes, [images, 3, size, size]) });
  await session.release();
  return embedding?.data as Float32Array;
}

describe("a gate at the end of a network", () => {
  let gated: CutLayers;
  let gateLayers: readonly string[];
  let setting: TuningSetting;

  before(async () => {
    const own = await settingOf(sketch());
    ({ cut: gated, gateLayers } = withGate(own.cut, gate, { dimension, seed: 7 }));
    setting = { ...own, cut: gated, trained: new Set([...own.trained, ...gateLayers]) };
  });

  /** By hand, of what the network yields without its gate. */
  function byHand(rows: Float32Array, layers: CutLayers["layers"]): number[] {
    const weight = (layer: string, name: string): Float32Array => {
      const found = layers.find((of) => of.name === layer)?.weights.get(name);
      assert.ok(found !== undefined, `${layer}/${name}`);
      return weightValues(found);
    };
    const product = (x: readonly number[], layer: string): number[] => {
      const kernel = weight(layer, "kernel");
      return [...weight(layer, "bias")].map((bias, out, { length }) =>
        x.reduce((sum, value, at) => sum + value * (kernel[at * length + out] as number), bias),
      );
    };
    return Array.from({ length: images }, (_, image) => {
      const x = [...rows.subarray(image * dimension, (image + 1) * dimension)];
      const hidden = product(x, "gate_squeeze").map((value) => Math.max(0, value));
      return product(hidden, "gate_excite").map((value, at) => (x[at] as number) / (1 + Math.exp(-value)));
    }).flat();
  }

  it("has a hidden layer of its share of the embedding, and about halves every dimension at first", async () => {
    const shapes = gated.layers
      .filter(({ name }) => gateLayers.includes(name))
      .map(({ weights }) => [...weights.values()].map(({ shape }) => shape));
    assert.deepEqual(shapes, [
      [[dimension, width], [width]],
      [[width, dimension], [dimension]],
    ]);
    const count = shapes.flat().reduce((sum, shape) => sum + shape.reduce((all, of) => all * of, 1), 0);
    assert.equal(gateParameterCount(gate, dimension), count);
    const { cut } = await settingOf(sketch());
    const [plain, found] = [await embed(cut), await embed(gated)];
    for (const [at, value] of found.entries()) {
      const share = value / (plain[at] as number);
      assert.ok(share > 0.25 && share < 0.75, `${share}`);
    }
  });

  it("trains alike in plain ONNX, the blocked layout and TensorFlow.js, and serves what it has come to", async () => {
    const start = startOf(setting, dimension);
    const trainedBy = async (create: CreateTuner): Promise<TuningState> => {
      const tuner = await create(setting, start);
      try {
        for (const seed of [0, 1, 2]) await tuner.step(drawnBatch(setting, { seed, dimension }), 0.1);
        return tuner.state();
      } finally {
        await tuner.release();
      }
    };
    const wanted = await trainedBy(createTfjsTuner);
    for (const block of new Set([0, await blockSize()])) {
      const found = await trainedBy((of, from) => createCompiledTuner(of, from, block));
      const { name, difference } = largestDifference(found, wanted, { names: /^weights/, floor: 1e-3 });
      assert.ok(difference < 1e-4, `${name} is ${difference} apart with blocks of ${block}`);
    }
    for (const layer of gateLayers) {
      const of = (state: TuningState): Float32Array | undefined =>
        state.tensors.get(`weights/${layer}/kernel`)?.data;
      assert.notDeepEqual(of(wanted), of(start));
    }
    const served = tunedLayers(setting, wanted);
    const before = served.layers.filter(({ name }) => !name.startsWith("gate_"));
    const plain = await embed({ ...served, layers: before, output: before.at(-1)?.name ?? "" });
    const found = await embed(served);
    for (const [at, value] of byHand(plain, served.layers).entries())
      assert.ok(Math.abs((found[at] as number) - value) < 1e-6, `${found[at]} is not ${value}`);
  });

  it("takes other names in a network that has one", () => {
    const again = withGate(gated, gate, { dimension, seed: 7 });
    const names = again.cut.layers.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    assert.deepEqual(again.gateLayers, ["gate_squeeze_2", "gate_excite_2"]);
  });
});
