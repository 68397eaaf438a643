import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { decodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import { relativeDifference, runOnnx } from "../support/models/layers-reference.js";
import { sequentialFiles, type PlainLayer, type PlainWeight } from "../support/models/layers-files.js";

interface Golden {
  readonly size: number;
  readonly weights: readonly PlainWeight[];
  readonly image: readonly number[];
  readonly average: readonly number[];
  readonly max: readonly number[];
}

// Tests run from test/dist; the goldens stay in test/golden.
const golden = JSON.parse(
  await readFile(new URL("../../golden/conv-same-bn.json", import.meta.url), "utf8"),
) as Golden;

const layers: readonly PlainLayer[] = [
  { class_name: "InputLayer", config: { name: "input", batch_input_shape: [null, 8, 8, 3] } },
  {
    class_name: "Conv2D",
    config: {
      name: "conv",
      kernel_size: [3, 3],
      filters: 4,
      strides: [2, 2],
      padding: "same",
      use_bias: false,
    },
  },
  {
    class_name: "BatchNormalization",
    config: { name: "bn", axis: -1, epsilon: 1e-3, scale: true, center: true },
  },
  { class_name: "Activation", config: { name: "relu6", activation: "relu6" } },
];

describe("convolution with SAME padding and folded batch normalisation", () => {
  for (const pooling of ["average", "max"] as const) {
    it(`gives what plain loops in numpy give, pooled by ${pooling}`, async () => {
      const files = sequentialFiles(layers, golden.weights);
      const model = await readLayersModel(files.modelJson, files.readFile);
      const compiled = compileLayers(model, { inputSize: golden.size, pooling });
      const ops = (decodeModel(compiled.model).graph?.node ?? []).map(({ opType }) => opType);
      assert.deepEqual(ops.slice(0, 2), ["Conv", "Clip"], "the normalisation is folded away");
      const actual = await runOnnx(compiled.model, Float32Array.from(golden.image), 1, golden.size);
      assert.ok(relativeDifference(actual, Float32Array.from(golden[pooling])) < 1e-6);
    });
  }
});
