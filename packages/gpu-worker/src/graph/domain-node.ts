import { TrommelError } from "@trommel/common";
import type { GraphBuilder } from "./graph-builder.js";
import { attributeProto, type AttributeValue } from "./onnx/onnx-values.js";

/** Adds a node of one output, of a domain other than ONNX's. @returns the name of its output */
export function addDomainNode(
  graph: GraphBuilder,
  domain: string,
  opType: string,
  inputs: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>>,
): string {
  for (const input of inputs) {
    if (input !== "" && !graph.has(input))
      throw new TrommelError("internal", `cannot build a training step: ${opType} uses "${input}"`);
  }
  graph.importDomain(domain, 1);
  const name = graph.fresh(`${opType}_of_runtime`);
  const attribute = Object.entries(attributes).map(([key, value]) => attributeProto(key, value));
  graph.addNodes([{ input: [...inputs], output: [name], name, opType, domain, attribute }]);
  return name;
}
