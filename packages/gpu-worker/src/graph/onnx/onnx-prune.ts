import { copyMessage } from "./onnx-names.js";
import type { GraphProto, ModelProto, NodeProto } from "./onnx-proto.js";

/** Keeps only the nodes, weights and inputs that `output` needs, with `output` as the only output. Drops the stated shapes. */
export function pruneTo(model: ModelProto, output: string): ModelProto {
  const graph = model.graph ?? {};
  const makers = new Map(
    (graph.node ?? []).flatMap((node) => (node.output ?? []).map((name) => [name, node])),
  );
  const needed = new Set<string>([output]);
  const kept = new Set<NodeProto>();
  const pending = [output];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const maker = makers.get(name);
    if (maker === undefined || kept.has(maker)) continue;
    kept.add(maker);
    for (const used of namesUsed(maker)) {
      if (!needed.has(used)) {
        needed.add(used);
        pending.push(used);
      }
    }
  }
  return copyMessage(model, {
    graph: copyMessage(graph, {
      node: (graph.node ?? []).filter((node) => kept.has(node)),
      initializer: (graph.initializer ?? []).filter(({ name }) => needed.has(name ?? "")),
      sparseInitializer: (graph.sparseInitializer ?? []).filter(({ values }) =>
        needed.has(values?.name ?? ""),
      ),
      input: (graph.input ?? []).filter(({ name }) => needed.has(name ?? "")),
      output: [{ name: output }],
      valueInfo: [],
    }),
  });
}

/** Names of all values that nodes of the top graph compute. */
export function valueNames(graph: GraphProto): Set<string> {
  const made = (graph.node ?? []).flatMap((node) => node.output ?? []);
  return new Set(made.filter((name) => name !== ""));
}

/** Includes a subgraph's own names; they match no node of the outer graph because ONNX forbids equal names. */
function namesUsed(node: NodeProto): string[] {
  const inner = (node.attribute ?? []).flatMap(({ g, graphs }) => [
    ...(g === undefined ? [] : [g]),
    ...(graphs ?? []),
  ]);
  return [
    ...(node.input ?? []),
    ...inner.flatMap((graph) => [
      ...(graph.node ?? []).flatMap(namesUsed),
      ...(graph.output ?? []).map(({ name = "" }) => name),
    ]),
  ];
}
