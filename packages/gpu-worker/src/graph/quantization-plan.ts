import { elementTypeCodes, type ModelProto, type NodeProto } from "./onnx/onnx-proto.js";
import { feedNames } from "./onnx/inline-model.js";

/** The parts of a network that are quantised. */
export interface QuantizationPlan {
  /** Values that become uint8, including every input of a quantised convolution. */
  readonly values: ReadonlySet<string>;
  readonly convolutions: ReadonlySet<NodeProto>;
  /** The `values` that a quantised convolution reads. */
  readonly convolutionInputs: ReadonlySet<string>;
}

/** Operators that compute on quantised values if all their inputs are quantised. */
const followers = new Set(["Add", "Mul", "Sigmoid", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool"]);
const activations = new Set(["Relu", "Clip"]);

/**
 * Quantises convolutions with constant weights, and what is between them. The first convolution stays float32 because the
 * levels of its input would fall half-way between those of a byte; everything after the last one stays float32 so that pooling
 * averages unrounded values.
 */
export function planQuantization(model: ModelProto): QuantizationPlan {
  const graph = model.graph ?? {};
  const nodes = graph.node ?? [];
  const kernels = new Set(
    (graph.initializer ?? []).flatMap(({ name = "", dims, dataType }) =>
      dims?.length === 4 && dataType === elementTypeCodes.float32 ? [name] : [],
    ),
  );
  const constants = new Set((graph.initializer ?? []).map(({ name = "" }) => name));
  const biases = (node: NodeProto): boolean =>
    (node.input ?? []).slice(2).every((name) => name === "" || constants.has(name));
  const feeds = new Set(feedNames(graph));
  const outputs = new Set((graph.output ?? []).map(({ name = "" }) => name));
  const afterOnly = activationsAfter(nodes);
  const isConvolution = (node: NodeProto): boolean =>
    node.opType === "Conv" &&
    kernels.has(node.input?.[1] ?? "") &&
    biases(node) &&
    !feeds.has(node.input?.[0] ?? "");
  const values = new Set<string>();
  const add = (name: string): void => void (outputs.has(name) || values.add(name));
  const last = nodes.findLastIndex(isConvolution);
  const convolutions = new Set(nodes.filter(isConvolution));
  const convolutionInputs = new Set([...convolutions].map(({ input }) => input?.[0] ?? ""));
  convolutionInputs.forEach(add);
  for (const node of nodes.slice(0, last + 1)) {
    const [output = ""] = node.output ?? [];
    const follows = followers.has(node.opType ?? "") && (node.input ?? []).every((name) => values.has(name));
    if (convolutions.has(node) || follows) add(afterOnly.get(output) ?? output);
  }
  return { values, convolutions, convolutionInputs };
}

/** For each value that only an activation reads, the output of that activation: the two are computed as one. */
function activationsAfter(nodes: readonly NodeProto[]): ReadonlyMap<string, string> {
  const readers = new Map<string, NodeProto[]>();
  for (const node of nodes)
    for (const name of node.input ?? []) readers.set(name, [...(readers.get(name) ?? []), node]);
  return new Map(
    [...readers].flatMap(([name, [only, ...others]]) =>
      only !== undefined && others.length === 0 && activations.has(only.opType ?? "")
        ? [[name, only.output?.[0] ?? ""]]
        : [],
    ),
  );
}
