import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { wrapEncoder } from "#gpu-worker/backbone/encoder/wrap-encoder";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import type { Dim } from "#gpu-worker/graph/onnx/onnx-values";
import { decodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import type { ModelProto } from "#gpu-worker/graph/onnx/onnx-proto";
import { runOnnx } from "../../../support/models/layers-reference.js";

/** Spatial features 2·image, [.., 3, H, W] or [.., H, W, 3], and their sum over everything but the batch. */
function encoder(
  shape: readonly Dim[],
  elementType: "float32" | "float16" | "uint8" = "float32",
  opset = 17,
): ModelProto {
  const graph = new GraphBuilder({ opset });
  const pixels = graph.input("pixels", elementType, shape);
  const floats = graph.node("Cast", [pixels], { to: 1 });
  const features = graph.node("Mul", [floats, graph.constant("two", "float32", [], Float32Array.of(2))]);
  const axes = graph.constant("axes", "int64", [2], BigInt64Array.of(2n, 3n));
  const sum = graph.node("ReduceSum", [features, axes], { keepdims: 0 });
  graph.output("features", "float32", undefined, features);
  graph.output("sum", "float32", undefined, sum);
  return decodeModel(graph.encode());
}

/** Two pictures of 2×2, [N, H, W, C]: channels 1, 2, 3 everywhere, and 10·those with one pixel more. */
const images = Float32Array.of(
  1,
  2,
  3,
  1,
  2,
  3,
  1,
  2,
  3,
  1,
  2,
  3,
  10,
  20,
  30,
  10,
  20,
  30,
  10,
  20,
  30,
  14,
  24,
  34,
);

async function embeddings(model: Uint8Array): Promise<number[]> {
  return [...(await runOnnx(model, images, 2, 2))];
}

const refused = async (attempt: Promise<unknown>, code: string, pattern: RegExp): Promise<void> => {
  await assert.rejects(attempt, (thrown) => {
    assert.ok(thrown instanceof TrommelError);
    assert.equal(thrown.code, code);
    assert.match(thrown.message, pattern);
    return true;
  });
};

describe("wrapEncoder", () => {
  it("frees a batch fixed at 1, and pools spatial tensors by average or maximum", async () => {
    const model = encoder([1, 3, 2, 2]);
    const average = await wrapEncoder(model, { output: "features" });
    assert.deepEqual([average.dimension, average.inputSize, average.pooling], [3, 2, "average"]);
    assert.deepEqual(await embeddings(average.model), [2, 4, 6, 22, 42, 62]);
    const max = await wrapEncoder(model, { output: "features", pooling: "max" });
    assert.deepEqual(await embeddings(max.model), [2, 4, 6, 28, 48, 68]);
  });

  it("takes channels last, dynamic sizes, half precision and tensors that are no outputs", async () => {
    const last = await wrapEncoder(encoder(["N", 2, 2, 3]), { output: "features" });
    assert.deepEqual(await embeddings(last.model), [2, 4, 6, 22, 42, 62]);
    const dynamic = await wrapEncoder(encoder(["N", 3, "H", "W"]), { output: "sum", inputSize: 2 });
    assert.equal(dynamic.pooling, "none");
    assert.deepEqual(await embeddings(dynamic.model), [8, 16, 24, 88, 168, 248]);
    const half = await wrapEncoder(encoder(["N", 3, 2, 2], "float16", 20), { output: "sum" });
    assert.equal(half.opset, 20);
    assert.deepEqual(await embeddings(half.model), [8, 16, 24, 88, 168, 248]);
    const inner = await wrapEncoder(encoder([1, 3, 2, 2]), { output: "Mul_1" });
    assert.deepEqual(await embeddings(inner.model), [2, 4, 6, 22, 42, 62]);
    const nodes = decodeModel(inner.model).graph?.node ?? [];
    assert.ok(!nodes.some(({ opType }) => opType === "ReduceSum"), "what the cut does not need is gone");
  });

  it("refuses a graph whose pictures are not independent, at any batch that is not 1", async () => {
    const graph = new GraphBuilder();
    const pixels = graph.input("pixels", "float32", [1, 3, 2, 2]);
    const shape = graph.constant("shape", "int64", [2], BigInt64Array.of(1n, -1n));
    graph.output("flat", "float32", undefined, graph.node("Reshape", [pixels, shape]));
    await refused(wrapEncoder(decodeModel(graph.encode())), "unsupported", /dynamic batch/);
    await refused(wrapEncoder(encoder([4, 3, 2, 2]), { output: "sum" }), "unsupported", /fixed at 4/);
  });

  it("refuses an encoder whose scale is that of the whole batch, for that reason", async () => {
    const graph = new GraphBuilder();
    const pixels = graph.input("pixels", "float32", ["N", 3, 2, 2]);
    const [rounded = "", scale = "", zero = ""] = graph.node("DynamicQuantizeLinear", [pixels], {}, 3);
    const restored = graph.node("DequantizeLinear", [rounded, scale, zero]);
    graph.output("map", "float32", undefined, restored);
    await refused(
      wrapEncoder(decodeModel(graph.encode())),
      "unsupported",
      /one scale serves the whole batch/,
    );
  });

  it("refuses inputs, sizes and outputs that do not fit, naming what is legal", async () => {
    const model = encoder(["N", 3, 2, 2]);
    await refused(wrapEncoder(model), "invalid-argument", /features, sum/);
    await refused(wrapEncoder(model, { output: "logits" }), "not-found", /"logits".*features, sum/);
    await refused(wrapEncoder(model, { output: "sum", inputSize: 3 }), "invalid-argument", /2×2/);
    await refused(wrapEncoder(encoder(["N", 3, "H", "W"]), { output: "sum" }), "invalid-argument", /--size/);
    await refused(wrapEncoder(encoder(["N", 5, 2, 2]), { output: "sum" }), "unsupported", /\[\?, 5, 2, 2\]/);
    await refused(
      wrapEncoder(encoder(["N", 3, 2, 2], "uint8"), { output: "sum" }),
      "unsupported",
      /element type uint8 .*float32/,
    );
    const two = new GraphBuilder();
    const sum = two.node("Add", [
      two.input("a", "float32", ["N", 3, 2, 2]),
      two.input("b", "float32", ["N", 3, 2, 2]),
    ]);
    two.output("y", "float32", undefined, sum);
    await refused(wrapEncoder(decodeModel(two.encode())), "unsupported", /2 inputs \(a, b\)/);
    const unknown = new GraphBuilder();
    unknown.output(
      "y",
      "float32",
      undefined,
      unknown.node("NoSuchOperator", [unknown.input("x", "float32", ["N", 3, 2, 2])]),
    );
    await refused(wrapEncoder(decodeModel(unknown.encode())), "unsupported", /NoSuchOperator/);
  });
});
