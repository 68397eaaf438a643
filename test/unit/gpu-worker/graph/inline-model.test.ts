import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as ort from "onnxruntime-node";
import { TrommelError } from "@trommel/common";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { commonOpset, inlineModel } from "#gpu-worker/graph/onnx/inline-model";
import { encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import { raiseOpset } from "#gpu-worker/graph/onnx/onnx-opset";
import { attributeProto, tensorProto, type AttributeValue } from "#gpu-worker/graph/onnx/onnx-values";
import type { GraphProto, ModelProto, NodeProto, ValueInfoProto } from "#gpu-worker/graph/onnx/onnx-proto";

type Feeds = Readonly<Record<string, ort.Tensor>>;

function value(name: string, elemType: number, ...dims: (number | string)[]): ValueInfoProto {
  const dim = dims.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

function node(
  opType: string,
  input: string[],
  output: string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
): NodeProto {
  const attribute = Object.entries(attributes).map(([name, item]) => attributeProto(name, item));
  return { opType, input, output, attribute };
}

function model(opset: number, graph: GraphProto, more: Partial<ModelProto> = {}): ModelProto {
  return {
    irVersion: 8,
    opsetImport: [{ domain: "", version: opset }],
    graph: { name: "g", ...graph },
    ...more,
  };
}

async function run(bytes: Uint8Array, feeds: Feeds): Promise<number[]> {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const results = await session.run(feeds);
  await session.release();
  const first = results[session.outputNames[0] ?? ""];
  return [...(first?.data as Float32Array)];
}

const x24 = new ort.Tensor(
  "float32",
  Float32Array.from({ length: 24 }, (_, i) => Math.sin(i * 1.7)),
  [2, 3, 4],
);

/** y = flag > 0 ? x * scale : x - scale, the branches using outer values; x is the model's input. */
function branching(scale: number): ModelProto {
  const branch = (opType: string): GraphProto => ({
    name: opType,
    node: [node(opType, ["x", "scale"], [`${opType}_out`])],
    output: [value(`${opType}_out`, 1, "N")],
  });
  return model(17, {
    input: [value("x", 1, "N")],
    initializer: [{ ...tensorProto("float32", [1], Float32Array.of(scale)), name: "scale" }],
    node: [
      node("ReduceSum", ["x"], ["total"], { keepdims: 0 }),
      node("Constant", [], ["zero"], { value: { tensor: tensorProto("float32", [], Float32Array.of(0)) } }),
      node("Greater", ["total", "zero"], ["flag"]),
      node("If", ["flag"], ["y"], {
        then_branch: { graph: branch("Mul") },
        else_branch: { graph: branch("Sub") },
      }),
    ],
    output: [value("y", 1, "N")],
  });
}

describe("inlineModel", () => {
  it("joins two models with equal names, subgraphs and outer references included", async () => {
    const builder = new GraphBuilder();
    const pixels = builder.input("pixels", "float32", ["N"]);
    const first = inlineModel(builder, branching(3), { prefix: "a/", inputs: { x: pixels } });
    const second = inlineModel(builder, branching(10), { prefix: "b/", inputs: { x: first["y"] ?? "" } });
    builder.output("out", "float32", ["N"], second["y"] ?? "");
    const bytes = builder.encode();
    const feed = (...data: number[]): Feeds => ({
      pixels: new ort.Tensor("float32", Float32Array.from(data), [data.length]),
    });
    assert.deepEqual(await run(bytes, feed(1, 2)), [30, 60]); // ·3 then ·10
    assert.deepEqual(await run(bytes, feed(-1, 0)), [-14, -13]); // -3 then -10
  });

  it("carries model-local functions over under the prefix", async () => {
    const twice = (factor: number): ModelProto =>
      model(
        17,
        {
          input: [value("x", 1, "N")],
          output: [value("y", 1, "N")],
          node: [{ ...node("Scale", ["x"], ["y"]), domain: "local" }],
        },
        {
          opsetImport: [
            { domain: "", version: 17 },
            { domain: "local", version: 1 },
          ],
          functions: [
            {
              name: "Scale",
              domain: "local",
              input: ["x"],
              output: ["y"],
              opsetImport: [{ domain: "", version: 17 }],
              node: [
                node("Constant", [], ["factor"], {
                  value: { tensor: tensorProto("float32", [], Float32Array.of(factor)) },
                }),
                node("Mul", ["x", "factor"], ["y"]),
              ],
            },
          ],
        },
      );
    const builder = new GraphBuilder();
    const pixels = builder.input("pixels", "float32", ["N"]);
    const first = inlineModel(builder, twice(2), { prefix: "a_", inputs: { x: pixels } });
    const second = inlineModel(builder, twice(7), { prefix: "b_", inputs: { x: first["y"] ?? "" } });
    builder.output("out", "float32", ["N"], second["y"] ?? "");
    assert.deepEqual(
      await run(builder.encode(), { pixels: new ort.Tensor("float32", Float32Array.of(1, -1), [2]) }),
      [14, -14],
    );
  });

  it("refuses inputs that are not the model's, a prefix used twice and a graph of a lower opset", () => {
    const builder = new GraphBuilder();
    const pixels = builder.input("pixels", "float32", ["N"]);
    const code = (expected: string) => (thrown: unknown) =>
      thrown instanceof TrommelError && thrown.code === expected;
    assert.throws(
      () => inlineModel(builder, branching(1), { prefix: "a/", inputs: { image: pixels } }),
      code("invalid-argument"),
    );
    inlineModel(builder, branching(1), { prefix: "a/", inputs: { x: pixels } });
    assert.throws(
      () => inlineModel(builder, branching(1), { prefix: "a/", inputs: { x: pixels } }),
      code("internal"),
    );
    const later = { ...branching(1), opsetImport: [{ domain: "", version: 20 }] };
    assert.equal(commonOpset([branching(1), later]), 20);
    assert.throws(
      () => inlineModel(builder, later, { prefix: "b/", inputs: { x: pixels } }),
      code("unsupported"),
    );
  });
});

const chain = (opset: number, nodes: NodeProto[], output: ValueInfoProto): ModelProto =>
  model(opset, { input: [value("x", 1, 2, 3, 4)], output: [output], node: nodes });

const raised: readonly (readonly [name: string, from: number, to: number, ModelProto])[] = [
  [
    "ReduceMean axes",
    13,
    18,
    chain(13, [node("ReduceMean", ["x"], ["y"], { axes: [1], keepdims: 0 })], value("y", 1, 2, 4)),
  ],
  [
    "ReduceMax without axes",
    11,
    20,
    chain(11, [node("ReduceMax", ["x"], ["y"], { keepdims: 0 })], value("y", 1)),
  ],
  [
    "Squeeze, Unsqueeze, ReduceSum",
    11,
    18,
    chain(
      11,
      [
        node("ReduceSum", ["x"], ["s"], { axes: [2] }),
        node("Squeeze", ["s"], ["q"], { axes: [2] }),
        node("Unsqueeze", ["q"], ["y"], { axes: [0, 3] }),
      ],
      value("y", 1, 1, 2, 3, 1),
    ),
  ],
  [
    "Split by sizes",
    11,
    18,
    chain(
      11,
      [node("Split", ["x"], ["a", "b"], { axis: 2, split: [1, 3] }), node("Relu", ["b"], ["y"])],
      value("y", 1, 2, 3, 3),
    ),
  ],
  [
    "Split evenly",
    13,
    18,
    chain(
      13,
      [node("Split", ["x"], ["a", "b"], { axis: 2 }), node("Sub", ["a", "b"], ["y"])],
      value("y", 1, 2, 3, 2),
    ),
  ],
  [
    "Softmax on the last axis",
    11,
    17,
    chain(11, [node("Softmax", ["x"], ["y"], { axis: -1 })], value("y", 1, 2, 3, 4)),
  ],
  [
    "GridSample",
    16,
    20,
    chain(
      16,
      [
        node("Constant", [], ["shape"], {
          value: { tensor: tensorProto("int64", [4], BigInt64Array.of(1n, 2n, 3n, 4n)) },
        }),
        node("Reshape", ["x", "shape"], ["image"]),
        node("Constant", [], ["grid"], {
          value: { tensor: tensorProto("float32", [1, 1, 2, 2], Float32Array.of(-0.3, 0.2, 0.9, -1.1)) },
        }),
        node("GridSample", ["image", "grid"], ["y"], {
          mode: "bilinear",
          padding_mode: "border",
          align_corners: 0,
        }),
      ],
      value("y", 1, 1, 2, 1, 2),
    ),
  ],
];

describe("raiseOpset", () => {
  for (const [name, from, to, original] of raised) {
    it(`keeps the results of ${name} from opset ${from} to ${to}`, async () => {
      const before = await run(encodeModel(original), { x: x24 });
      const after = await run(encodeModel(raiseOpset(original, to)), { x: x24 });
      assert.ok(before.length > 0);
      assert.deepEqual(after, before);
    });
  }

  it("refuses what changed its meaning, naming it", () => {
    const refused = (from: number, to: number, item: NodeProto, pattern: RegExp): void => {
      assert.throws(() => raiseOpset(chain(from, [item], value("y", 1)), to), pattern);
    };
    refused(
      18,
      21,
      node("GroupNormalization", ["x", "s", "b"], ["y"], { num_groups: 2 }),
      /GroupNormalization/,
    );
    refused(17, 20, node("AveragePool", ["x"], ["y"], { kernel_shape: [2], ceil_mode: 1 }), /ceil_mode/);
    refused(6, 13, node("Relu", ["x"], ["y"]), /opset/);
    refused(18, 17, node("Relu", ["x"], ["y"]), /lowered/);
  });
});
