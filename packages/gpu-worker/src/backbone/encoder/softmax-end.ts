import type { ModelProto, NodeProto } from "../../graph/onnx/onnx-proto.js";

/** Nodes that keep the numbers, or change nothing but their shape, type or offset. */
const passed = new Set(["Identity", "Cast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Add"]);

/** The last layer of a classifier, which has a number for each class. */
const ofClasses = new Set(["Gemm", "MatMul", "Conv"]);

/**
 * Finds out whether an output has the probabilities of classes, and what comes before the layer of the classes.
 * @returns the tensor whose value may serve as the embedding; undefined if no softmax makes the output
 */
export function softmaxEnd(model: ModelProto, output: string): { readonly before: string } | undefined {
  const nodes = model.graph?.node ?? [];
  const makers = new Map(nodes.flatMap((node) => (node.output ?? []).map((name) => [name, node] as const)));
  const soft = follow(makers, output);
  if (soft?.opType !== "Softmax" && soft?.opType !== "LogSoftmax") return undefined;
  const [logits = ""] = soft.input ?? [];
  const last = follow(makers, logits);
  const computed = last?.input?.find((name) => makers.has(name));
  return { before: ofClasses.has(last?.opType ?? "") && computed !== undefined ? computed : logits };
}

/** The node that makes a tensor's numbers. */
function follow(makers: ReadonlyMap<string, NodeProto>, tensor: string): NodeProto | undefined {
  let node = makers.get(tensor);
  while (passed.has(node?.opType ?? "")) {
    const above: NodeProto | undefined = node?.input?.flatMap((name) => makers.get(name) ?? [])[0];
    if (above === undefined) return undefined;
    node = above;
  }
  return node;
}
