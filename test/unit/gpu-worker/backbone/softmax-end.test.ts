import assert from "node:assert/strict";
import { it } from "node:test";
import { softmaxEnd } from "#gpu-worker/backbone/encoder/softmax-end";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { decodeModel } from "#gpu-worker/graph/onnx/onnx-model";

/** Three features of an image, two logits of them, and what follows. */
function network(end: (graph: GraphBuilder, logits: string) => string, isBiased = true) {
  const graph = new GraphBuilder({ opset: 17 });
  const pixels = graph.input("pixels", "float32", ["N", 3]);
  const features = graph.node("Relu", [pixels]);
  const weights = graph.constant("weights", "float32", [3, 2], new Float32Array(6));
  const product = graph.node("MatMul", [features, weights]);
  const bias = graph.constant("bias", "float32", [2], new Float32Array(2));
  const logits = isBiased ? graph.node("Add", [product, bias]) : product;
  const output = end(graph, logits);
  graph.output("scores", "float32", ["N", 2], output);
  const model = decodeModel(graph.encode());
  const relu = model.graph?.node?.find(({ opType }) => opType === "Relu")?.output?.[0];
  return { model, features: relu ?? "" };
}

it("names the tensor before the layer of the classes where a softmax makes the output", () => {
  for (const isBiased of [true, false]) {
    const { model, features } = network(
      (graph, logits) => graph.node("Identity", [graph.node("Softmax", [logits], { axis: -1 })]),
      isBiased,
    );
    assert.deepEqual(softmaxEnd(model, "scores"), { before: features });
  }
  assert.equal(softmaxEnd(network((_, logits) => logits).model, "scores"), undefined);
  // A softmax within a network, as attention has it, is no end.
  const inner = network((graph, logits) =>
    graph.node("Relu", [graph.node("Softmax", [logits], { axis: -1 })]),
  );
  assert.equal(softmaxEnd(inner.model, "scores"), undefined);
});
