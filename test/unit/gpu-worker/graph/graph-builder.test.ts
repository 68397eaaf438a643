import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as ort from "onnxruntime-node";
import { TrommelError } from "@trommel/common";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { decodeModel, opsetOf } from "#gpu-worker/graph/onnx/onnx-model";

function affineModel(): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input("x", "float32", ["N", 2]);
  const weight = graph.constant("weight", "float32", [2, 2], Float32Array.of(1, 2, 3, 4));
  const axes = graph.constant("axes", "int64", [1], BigInt64Array.of(1n));
  const product = graph.node("MatMul", [x, weight]);
  const leaky = graph.node("LeakyRelu", [product], { alpha: { float: 0.5 } });
  graph.output("y", "float32", ["N", 2], leaky);
  const sum = graph.node("ReduceSum", [leaky, axes], { keepdims: 0 });
  graph.output("sum", "float32", ["N"], sum);
  const [first = "", second = ""] = graph.node("Split", [leaky], { axis: 1 }, 2);
  graph.output("first", "float32", ["N", 1], first);
  graph.output("second", "float32", ["N", 1], second);
  return graph.encode();
}

describe("GraphBuilder", () => {
  it("builds a model that ONNX Runtime computes as worked out by hand", async () => {
    const session = await ort.InferenceSession.create(affineModel());
    const x = new ort.Tensor("float32", Float32Array.of(1, 1, -2, 0), [2, 2]);
    const out = await session.run({ x });
    // [1 1; -2 0] · [1 2; 3 4] = [4 6; -2 -4], halved below zero
    assert.deepEqual([...(out["y"]?.data as Float32Array)], [4, 6, -1, -2]);
    assert.deepEqual([...(out["sum"]?.data as Float32Array)], [10, -3]);
    assert.deepEqual([...(out["second"]?.data as Float32Array)], [6, -2]);
    await session.release();
  });

  it("gives the same bytes for the same calls", () => {
    assert.deepEqual(affineModel(), affineModel());
  });

  it("shares small equal constants, and names others apart", () => {
    const graph = new GraphBuilder();
    const one = graph.constant("a", "float32", [1], Float32Array.of(1));
    assert.equal(graph.constant("b", "float32", [1], Float32Array.of(1)), one);
    assert.notEqual(graph.constant("a", "float32", [1], Float32Array.of(2)), one);
    assert.notEqual(graph.constant("a", "int32", [1], Int32Array.of(0x3f800000)), one);
    assert.notEqual(graph.constant("a", "float32", [1, 1], Float32Array.of(1)), one);
  });

  it("refuses a name that does not exist, a taken name, a fraction as integer and a shape that does not fit", () => {
    const graph = new GraphBuilder();
    graph.input("x", "float32", ["N"]);
    const internal = (thrown: unknown): boolean =>
      thrown instanceof TrommelError && thrown.code === "internal";
    assert.throws(() => graph.node("Relu", ["y"]), internal);
    assert.throws(() => graph.input("x", "float32", ["N"]), internal);
    assert.throws(() => graph.node("LeakyRelu", ["x"], { alpha: 0.5 }), internal);
    assert.throws(() => graph.constant("c", "float32", [3], Float32Array.of(1)), internal);
    assert.throws(() => graph.encode(), internal);
  });

  it("writes the opset that it was asked for", () => {
    const graph = new GraphBuilder({ opset: 20 });
    graph.output("y", "float32", ["N"], graph.input("x", "float32", ["N"]));
    assert.equal(opsetOf(decodeModel(graph.encode())), 20);
    assert.throws(() => new GraphBuilder({ opset: 12 }), /opset 12/);
  });
});
