import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { decodeModel, encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import type { TensorProto } from "#gpu-worker/graph/onnx/onnx-proto";

/** One length-delimited protobuf field, written from the wire format's own rules (lengths below 128). */
function field(id: number, ...parts: (string | number[])[]): number[] {
  const body = parts.flatMap((part) => (typeof part === "string" ? [...Buffer.from(part, "utf8")] : part));
  assert.ok(body.length < 128);
  return [...tag(id, 2), body.length, ...body];
}

function tag(id: number, wireType: number): number[] {
  const key = id * 8 + wireType;
  return key < 128 ? [key] : [(key & 127) | 128, key >> 7];
}

const int64Max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];

/** A model in field order with a field unknown to us (number 200) in each message, and floats kept packed. */
const handWritten = Uint8Array.from([
  ...tag(1, 0),
  8,
  ...tag(5, 0),
  0, // an explicit zero stays explicit
  ...field(
    7,
    field(
      1,
      field(1, "x"),
      field(2, "y"),
      field(4, "Relu"),
      field(5, field(1, "k"), tag(3, 0), int64Max, tag(20, 0), [2, ...field(200, "a")]),
      field(200, "n"),
    ),
    field(2, "g"),
    field(
      5,
      tag(1, 0),
      [2, ...tag(2, 0), 1, ...field(4, [0, 0, 128, 63, 0, 0, 0, 64])],
      field(8, "w"),
      field(200, "t"),
    ),
    field(200, "graph"),
  ),
  ...field(8, tag(2, 0), [17]),
  ...field(200, "model"),
]);

function smallModel(): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input("x", "float32", ["N", 2]);
  const weight = graph.constant("weight", "float32", [2, 1], Float32Array.of(1, 2));
  graph.output("y", "float32", ["N", 1], graph.node("MatMul", [x, weight]));
  return graph.encode();
}

function isCorrupt(thrown: unknown): boolean {
  return thrown instanceof TrommelError && thrown.code === "corrupt";
}

describe("ONNX codec", () => {
  it("reads fields by their numbers and writes every byte back, unknown fields included", () => {
    const model = decodeModel(handWritten);
    const node = model.graph?.node?.[0];
    assert.deepEqual([node?.opType, node?.input, node?.output], ["Relu", ["x"], ["y"]]);
    assert.equal(JSON.stringify(node?.attribute?.[0]?.i), '{"low":-1,"high":2147483647,"unsigned":false}');
    assert.equal(model.graph?.initializer?.[0]?.name, "w");
    assert.deepEqual([...encodeModel(model)], [...handWritten]);
  });

  it("refuses every truncation of a model", () => {
    const whole = smallModel();
    decodeModel(whole);
    for (let length = 0; length < whole.length; length++) {
      assert.throws(
        () => decodeModel(whole.subarray(0, length)),
        isCorrupt,
        `${length} bytes of ${whole.length}`,
      );
    }
  });

  it("refuses lengths beyond the end, other files and endless nesting as corrupt", () => {
    assert.throws(() => decodeModel(Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x07)), isCorrupt);
    assert.throws(() => decodeModel(Buffer.from('{"modelTopology": {}}')), isCorrupt);
    // graph → node → attribute → graph → …, each a length-delimited field around the last
    let nested: number[] = [];
    for (let depth = 0; depth < 400; depth++) {
      const id = [7, 1, 5, 6][3 - (depth % 4)] ?? 0;
      const length =
        nested.length < 128 ? [nested.length] : [(nested.length & 127) | 128, nested.length >> 7];
      nested = [...tag(depth % 4 === 3 && depth < 396 ? 6 : id, 2), ...length, ...nested];
    }
    assert.throws(() => decodeModel(Uint8Array.from(nested)), isCorrupt);
  });

  it("refuses weights in other files, bytes that do not fit the shape, and files above the bound", () => {
    const withTensor = (changes: Partial<TensorProto>): Uint8Array => {
      const model = decodeModel(smallModel());
      Object.assign(model.graph?.initializer?.[0] ?? {}, changes);
      return encodeModel(model);
    };
    assert.throws(
      () => decodeModel(withTensor({ dataLocation: 1, externalData: [{ key: "location", value: "w.bin" }] })),
      (thrown) =>
        thrown instanceof TrommelError && thrown.code === "unsupported" && /weight/.test(thrown.message),
    );
    assert.throws(() => decodeModel(withTensor({ dims: [3, 1] })), isCorrupt);
    assert.throws(() => decodeModel(withTensor({ dims: [-2, -1] })), isCorrupt);
    assert.throws(
      () => decodeModel(smallModel(), { maxBytes: 10 }),
      (thrown) => thrown instanceof TrommelError && thrown.code === "too-large",
    );
  });
});
