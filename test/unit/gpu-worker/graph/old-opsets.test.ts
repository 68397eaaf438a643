import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as ort from "onnxruntime-node";
import { encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import { raiseOpset } from "#gpu-worker/graph/onnx/onnx-opset";
import { attributeProto, tensorProto, type AttributeValue } from "#gpu-worker/graph/onnx/onnx-values";
import type { ModelProto, NodeProto, TensorProto } from "#gpu-worker/graph/onnx/onnx-proto";

/** Operators of the opsets before 11, or before 13: ONNX Runtime runs the original, which is the expectation. */
const x = new ort.Tensor(
  "float32",
  Float32Array.from({ length: 48 }, (_, i) => Math.sin(i * 1.7)),
  [1, 3, 4, 4],
);

type Attributes = Readonly<Record<string, AttributeValue>>;

function op(opType: string, attributes: Attributes = {}, more: string[] = [], outputs = ["y"]): NodeProto {
  const attribute = Object.entries(attributes).map(([name, item]) => attributeProto(name, item));
  return { opType, input: ["x", ...more], output: outputs, attribute };
}

const floats = (name: string, ...values: number[]): TensorProto => ({
  ...tensorProto("float32", [values.length], Float32Array.from(values)),
  name,
});
const ints = (name: string, dims: number[], ...values: number[]): TensorProto => ({
  ...tensorProto("int64", dims, BigInt64Array.from(values, BigInt)),
  name,
});

const statistics = [
  floats("scale", 1, 2, 3),
  floats("bias", 0, 1, 2),
  floats("mean", 0.1, 0.2, 0.3),
  floats("variance", 1, 2, 3),
];
const stretched = { mode: "nearest", scales: { floats: [1, 1, 2, 3] } };

const cases: readonly (readonly [opset: number, node: NodeProto, initializer?: TensorProto[]])[] = [
  [7, op("Upsample", stretched)],
  [8, op("Upsample", { mode: "linear", scales: { floats: [1, 1, 2, 2] } })],
  [9, op("Upsample", { mode: "nearest" }, ["scales"]), [floats("scales", 1, 1, 2, 2)]],
  [10, op("Resize", { mode: "linear" }, ["scales"]), [floats("scales", 1, 1, 3, 2)]],
  [10, op("Resize", { mode: "nearest" }, ["scales"]), [floats("scales", 1, 1, 0.5, 2)]],
  [
    7,
    op("BatchNormalization", { epsilon: { float: 0.01 }, spatial: 1 }, ["scale", "bias", "mean", "variance"]),
    statistics,
  ],
  [8, op("Slice", { starts: [1, 0], ends: [3, -1], axes: [1, 3] })],
  [9, op("Slice", { starts: [0, 1], ends: [1, 3] })],
  [9, op("TopK", { k: 2, axis: 3 }, [], ["y", "indices"])],
  [7, op("Pad", { pads: [0, 0, 1, 2, 0, 0, 0, 1], value: { float: 0.5 } })],
  [10, op("Pad", { pads: [0, 0, 1, 2, 0, 0, 0, 1], mode: "reflect" })],
  [7, op("Clip", { min: { float: -0.5 }, max: { float: 0.25 } })],
  [10, op("Clip", { max: { float: 0.25 } })],
  [9, op("Clip")],
  [
    9,
    op("Scatter", { axis: 3 }, ["at", "updates"]),
    [
      ints("at", [1, 1, 1, 2], 0, 3),
      { ...tensorProto("float32", [1, 1, 1, 2], Float32Array.of(9, 8)), name: "updates" },
    ],
  ],
  [7, op("Dropout", { ratio: { float: 0.5 } })],
  [9, op("Softmax")],
  [11, op("Softmax")],
  [11, op("Softmax", { axis: 3 })],
  [12, op("Softmax", { axis: -2 })],
  [7, op("Softmax", { axis: 2 })],
  [12, op("LogSoftmax", { axis: 0 })],
  [7, op("ReduceMean", { axes: [1, 3], keepdims: 0 })],
];

function modelOf(opset: number, node: NodeProto, initializer: TensorProto[] = []): ModelProto {
  const shaped = (name: string, dims: (number | undefined)[]) => ({
    ...{
      name,
      type: {
        tensorType: {
          elemType: 1,
          shape: { dim: dims.map((dimValue) => (dimValue === undefined ? {} : { dimValue })) },
        },
      },
    },
  });
  return {
    irVersion: 8,
    opsetImport: [{ domain: "", version: opset }],
    graph: {
      name: "g",
      node: [node],
      initializer,
      input: [shaped("x", [1, 3, 4, 4])],
      output: [{ name: "y", type: { tensorType: { elemType: 1 } } }],
    },
  };
}

async function run(model: ModelProto): Promise<{ dims: readonly number[]; values: number[] }> {
  const session = await ort.InferenceSession.create(encodeModel(model), { logSeverityLevel: 4 });
  const { y } = await session.run({ x });
  await session.release();
  return { dims: y?.dims ?? [], values: [...(y?.data as Float32Array)] };
}

describe("raiseOpset from old opsets", () => {
  for (const [opset, node, initializer] of cases) {
    const attributes = (node.attribute ?? []).map(({ name }) => name).join(", ");
    it(`keeps the results of ${node.opType} (${attributes}) of opset ${opset} in 17 and 24`, async () => {
      const original = modelOf(opset, node, initializer);
      const before = await run(original);
      assert.ok(before.values.some((value) => value !== 0));
      for (const to of [17, 24]) assert.deepEqual(await run(raiseOpset(original, to)), before);
    });
  }

  it("refuses what it cannot keep, and says why", () => {
    const spatial = op("BatchNormalization", { spatial: 0 }, ["scale", "bias", "mean", "variance"]);
    assert.throws(() => raiseOpset(modelOf(7, spatial, statistics), 17), /statistics for every pixel/);
    assert.throws(() => raiseOpset(modelOf(6, op("Relu")), 17), /broadcast by other rules/);
    assert.throws(() => raiseOpset(modelOf(8, op("Scan")), 17), /Scan had another form/);
  });
});
