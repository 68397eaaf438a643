import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import {
  layersFiles,
  sequentialFiles,
  type PlainLayer,
  type PlainWeight,
} from "../../../support/models/layers-files.js";
import { runOnnx, type LayersSource } from "../../../support/models/layers-reference.js";

const input: PlainLayer = {
  class_name: "InputLayer",
  config: { name: "input", batch_input_shape: [null, 1, 1, 3] },
};
const layer = (class_name: string, config: Record<string, unknown>): PlainLayer => ({
  class_name,
  config: { name: class_name.toLowerCase(), ...config },
});

/** One pixel of three channels through layers that TensorFlow.js lacks or has in part; worked out by hand. */
async function pixel(
  values: readonly [number, number, number],
  source: LayersSource,
  output?: string,
): Promise<number[]> {
  const model = await readLayersModel(source.modelJson, source.readFile);
  const options = { inputSize: 1, ...(output === undefined ? {} : { output }) };
  return [...(await runOnnx(compileLayers(model, options).model, Float32Array.from(values), 1, 1))];
}

async function onePixel(
  values: readonly [number, number, number],
  layers: readonly PlainLayer[],
  weights: readonly PlainWeight[] = [],
): Promise<number[]> {
  return pixel(values, sequentialFiles([input, ...layers], weights));
}

function close(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, index) =>
    assert.ok(Math.abs(value - (expected[index] ?? NaN)) < 1e-6, `${value} at ${index}`),
  );
}

describe("layers by hand", () => {
  it("ReLU with slope, threshold and bound", async () => {
    const relu = layer("ReLU", { max_value: 6, negative_slope: 0.5, threshold: 1 });
    close(await onePixel([-3, 2, 9], [relu]), [-2, 2, 6]); // 0.5·(-3 - 1), 2, min(9, 6)
  });

  it("ELU with its own alpha", async () => {
    close(await onePixel([-1, 0, 2], [layer("ELU", { alpha: 0.5 })]), [0.5 * (Math.exp(-1) - 1), 0, 2]);
  });

  it("relu6 under the names that libraries gave it", async () => {
    for (const activation of ["relu6", "relu_6", "Custom>relu6", "mobilenet.relu6"]) {
      close(await onePixel([-1, 5, 7], [layer("Activation", { activation })]), [0, 5, 6]);
    }
    close(await onePixel([-1, 5, 7], [layer("ReLU6", {})]), [0, 5, 6]);
  });

  it("Rescaling by one factor and by one per channel", async () => {
    close(await onePixel([2, 4, 6], [layer("Rescaling", { scale: 0.5, offset: -1 })]), [0, 1, 2]);
    close(await onePixel([2, 4, 6], [layer("Rescaling", { scale: [1, 2, 3], offset: 0 })]), [2, 8, 18]);
  });

  it("Normalization, learnt and given", async () => {
    const weights: PlainWeight[] = [
      { name: "normalization/mean", shape: [3], values: [1, 2, 3] },
      { name: "normalization/variance", shape: [3], values: [4, 1, 0.25] },
    ];
    close(await onePixel([3, 2, 4], [layer("Normalization", { axis: -1 })], weights), [1, 0, 2]);
    const given = layer("Normalization", { axis: -1, mean: [1, 2, 3], variance: [4, 1, 0.25] });
    close(await onePixel([3, 2, 4], [given]), [1, 0, 2]);
  });

  it("identity layers under any name, and pooling that keeps its dimensions", async () => {
    const layers = [layer("FixedDropout", { rate: 0.9 }), layer("GlobalMaxPooling2D", { keepdims: true })];
    close(await onePixel([1, -2, 3], layers), [1, -2, 3]);
  });

  it("Subtract, and a convolution in groups", async () => {
    const groups = layer("Conv2D", { kernel_size: 1, filters: 3, groups: 3, use_bias: false });
    const kernel = { name: "conv2d/kernel", shape: [1, 1, 1, 3], values: [1, 2, 3] };
    close(await onePixel([1, 1, -1], [groups], [kernel]), [1, 2, -3]);
    const nodes = (inbound: string[]) => [inbound.map((name) => [name, 0, 0, {}])];
    const functional = {
      class_name: "Functional",
      config: {
        layers: [
          { ...input, name: "input", inbound_nodes: [] },
          { class_name: "ReLU", name: "relu", config: {}, inbound_nodes: nodes(["input"]) },
          { class_name: "Subtract", name: "difference", config: {}, inbound_nodes: nodes(["relu", "input"]) },
        ],
        input_layers: [["input", 0, 0]],
        output_layers: [["difference", 0, 0]],
      },
    };
    close(
      await pixel([-1, 2, -3], layersFiles({ model_config: functional }, [], new Uint8Array(0))),
      [1, 0, 3],
    );
  });

  it("models inside models, whose weights carry one name or both, cut inside", async () => {
    const inner = (name: string): PlainLayer => ({
      class_name: "Sequential",
      config: {
        name,
        layers: [layer("Dense", { name: "dense", units: 2, use_bias: false }), layer("ReLU", {})],
      },
    });
    const flatten = layer("Flatten", {});
    const weights: PlainWeight[] = [
      { name: "first/dense/kernel", shape: [3, 2], values: [1, 0, 0, 1, 1, 1] },
      { name: "second/dense/kernel", shape: [2, 2], values: [10, -1, 0, 0] },
    ];
    const files = sequentialFiles([input, flatten, inner("first"), inner("second")], weights);
    close(await pixel([1, 2, 3], files), [40, 0]); // [4, 5] · [10 -1; 0 0] = [40 -4]
    close(await pixel([1, 2, 3], files, "relu"), [4, 5]);
    close(await pixel([1, 2, 3], files, "second/dense"), [40, -4]);
  });

  it("dequantises uint8, uint16 and float16 weights, and reads float16 and int32 ones", async () => {
    const dense = (specs: readonly object[], bytes: Uint8Array): LayersSource =>
      layersFiles(
        {
          class_name: "Sequential",
          config: [input, layer("Flatten", {}), layer("Dense", { units: 1, use_bias: false })],
        },
        specs,
        bytes,
      );
    const spec = { name: "dense/kernel", shape: [3, 1], dtype: "float32" };
    const scaled = (dtype: string) => ({ ...spec, quantization: { dtype, scale: 0.5, min: -1 } });
    // weights -1 + 0.5·[0, 4, 255] = [-1, 1, 126.5]
    close(await pixel([1, 1, 1], dense([scaled("uint8")], Uint8Array.of(0, 4, 255))), [126.5]);
    const wide = new Uint8Array(Uint16Array.of(0, 4, 1002).buffer);
    close(await pixel([1, 1, 1], dense([scaled("uint16")], wide)), [500]);
    // binary16: 1, -2, 2^-14 · 0.5 (subnormal)
    const half = new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x0200).buffer);
    const packed = { ...spec, quantization: { dtype: "float16" } };
    close(await pixel([3, 1, 2 ** 15], dense([packed], half)), [2]);
    close(await pixel([3, 1, 2 ** 15], dense([{ ...spec, dtype: "float16" }], half)), [2]);
    const whole = new Uint8Array(Int32Array.of(-1, 2, 3).buffer);
    close(await pixel([1, 1, 1], dense([{ ...spec, dtype: "int32" }], whole)), [4]);
  });
});

describe("layers models that are refused", () => {
  const refused = async (
    source: LayersSource,
    code: string,
    pattern: RegExp,
    inputSize = 1,
  ): Promise<void> => {
    const attempt = async () => {
      compileLayers(await readLayersModel(source.modelJson, source.readFile), { inputSize });
    };
    await assert.rejects(attempt, (thrown) => {
      assert.ok(thrown instanceof TrommelError);
      assert.equal(thrown.code, code);
      assert.match(thrown.message, pattern);
      return true;
    });
  };
  const json = (text: string): LayersSource => ({
    modelJson: Buffer.from(text),
    readFile: () => Promise.resolve(new Uint8Array(0)),
  });
  const kernel = { name: "dense/kernel", shape: [3, 1], values: [1, 2, 3] };
  const dense = layer("Dense", { units: 1, use_bias: false });

  it("names an unknown layer and its type, an unknown activation and a foreign data format", async () => {
    await refused(
      sequentialFiles([input, layer("Lambda", { name: "odd" })]),
      "unsupported",
      /"odd" \(Lambda\)/,
    );
    await refused(
      sequentialFiles([input, layer("Activation", { activation: "snake" })]),
      "unsupported",
      /snake/,
    );
    const first = layer("GlobalAveragePooling2D", { data_format: "channels_first" });
    await refused(sequentialFiles([input, first]), "unsupported", /channels_first/);
  });

  it("names a truncated or surplus weight file, a missing weight and a path outside", async () => {
    for (const count of [2, 4]) {
      const bytes = new Uint8Array(count * 4);
      const source = { ...sequentialFiles([input, dense], [kernel]), readFile: () => Promise.resolve(bytes) };
      await refused(source, "corrupt", /weights\.bin/);
    }
    await refused(sequentialFiles([input, dense]), "corrupt", /dense\/kernel/);
    const good = sequentialFiles([input, dense], [kernel]);
    for (const path of ["../weights.bin", "/etc/passwd", "http://host/weights.bin", "a//b"]) {
      const text = Buffer.from(good.modelJson).toString().replace("weights.bin", path);
      await refused({ ...good, modelJson: Buffer.from(text) }, "corrupt", /plain relative path/);
    }
  });

  it("refuses what is not JSON, not a layers model, a graph model, and a kernel that does not fit", async () => {
    await refused(json("{"), "corrupt", /not JSON/);
    await refused(json("{}"), "corrupt", /not a layers model/);
    await refused(json('{"modelTopology":{"node":[]},"weightsManifest":[]}'), "unsupported", /graph model/);
    const flat = sequentialFiles([input, layer("Flatten", {}), dense], [{ ...kernel, shape: [1, 3] }]);
    await refused(flat, "invalid-argument", /input size/);
    await refused(
      sequentialFiles([input, dense], [{ ...kernel, shape: [-3, 1] }]),
      "corrupt",
      /not a layers model/,
    );
  });
});
