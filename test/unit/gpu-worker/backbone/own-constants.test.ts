import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ownPreprocessing } from "#gpu-worker/backbone/import/own-preprocessing";
import { elementTypeCodes, type NodeProto, type TensorProto } from "#gpu-worker/graph/onnx/onnx-proto";
import { attributeProto } from "#gpu-worker/graph/onnx/onnx-values";

const { float16, float64, int64 } = elementTypeCodes;

const node = (opType: string, input: string[], output: string, attribute: NodeProto["attribute"] = []) => ({
  ...{ opType, input, attribute },
  output: [output],
});
const bytes = (data: Uint16Array | Float64Array): Uint8Array => new Uint8Array(data.buffer);
const tensor = (dataType: number, dims: number[], fields: TensorProto): TensorProto => ({
  ...{ name: "c", dataType, dims },
  ...fields,
});
const constant = (name: string, value: Parameters<typeof attributeProto>[1]): NodeProto =>
  node("Constant", [], "c", [attributeProto(name, value)]);

/** NumPy says that float16(1/255) has the bits 0x1c04, which are the bytes 0x84 0x38 as a varint. */
const initializers: Readonly<Record<string, TensorProto>> = {
  "float16, raw": tensor(float16, [], { rawData: bytes(Uint16Array.of(0x1c04)) }),
  "float16, raw, one for each channel": tensor(float16, [1, 3, 1, 1], {
    rawData: bytes(Uint16Array.of(0x1c04, 0x1c04, 0x1c04)),
  }),
  "float16, listed": tensor(float16, [1], { int32Data: [Uint8Array.of(0x84, 0x38)] }),
  "float64, raw": tensor(float64, [], { rawData: bytes(Float64Array.of(1 / 255)) }),
  "float64, listed": tensor(float64, [], { doubleData: [bytes(Float64Array.of(1 / 255))] }),
};
const nodes: Readonly<Record<string, NodeProto>> = {
  value: constant("value", { tensor: tensor(float64, [], { rawData: bytes(Float64Array.of(1 / 255)) }) }),
  value_float: constant("value_float", { float: 1 / 255 }),
  value_floats: constant("value_floats", { floats: [1 / 255, 1 / 255, 1 / 255] }),
};

describe("a network's own normalisation, by the form of its constants", () => {
  const conv = node("Conv", ["scaled", "kernel"], "y");
  const cast = node("Cast", ["image"], "half", [attributeProto("to", float16)]);
  const expects = (own: ReturnType<typeof ownPreprocessing>, operator: string): void =>
    assert.deepEqual(own, { expects: "0..255", operators: [operator] });

  for (const [name, initializer] of Object.entries(initializers)) {
    it(`${name} initializer`, () => {
      const graph = { node: [cast, node("Mul", ["half", "c"], "scaled"), conv], initializer: [initializer] };
      expects(ownPreprocessing({ graph }, "image"), "Mul");
    });
  }
  for (const [name, given] of Object.entries(nodes)) {
    it(`Constant by ${name}, cast and reshaped`, () => {
      const derived = [node("Cast", ["c"], "d"), node("Unsqueeze", ["d", "axes"], "e")];
      for (const operand of ["c", "e"]) {
        const mul = node("Mul", [operand, "image"], "scaled");
        expects(ownPreprocessing({ graph: { node: [given, ...derived, mul, conv] } }, "image"), "Mul");
      }
    });
  }
  it("integers, raw, listed and by value_int", () => {
    const listed = tensor(int64, [1], { int64Data: [Uint8Array.of(0xff, 0x01)] });
    const div = node("Div", ["image", "c"], "scaled");
    expects(ownPreprocessing({ graph: { node: [div, conv], initializer: [listed] } }, "image"), "Div");
    expects(ownPreprocessing({ graph: { node: [constant("value_int", 255), div, conv] } }, "image"), "Div");
  });
  it("a constant of another size says nothing", () => {
    const wide = tensor(float16, [4], { rawData: bytes(Uint16Array.of(0x1c04, 0x1c04, 0x1c04, 0x1c04)) });
    const graph = { node: [node("Mul", ["image", "c"], "scaled"), conv], initializer: [wide] };
    assert.equal(ownPreprocessing({ graph }, "image"), undefined);
  });
});
