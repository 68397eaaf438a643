import { elementTypeCodes, type ModelProto, type NodeProto } from "./onnx/onnx-proto.js";
import { feedNames } from "./onnx/inline-model.js";

/** Which of a network is quantised. */
export interface QuantizationPlan {
  /** Values that become uint8; every input of a quantised convolution is among them. */
  readonly values: ReadonlySet<string>;
  readonly convolutions: ReadonlySet<NodeProto>;
  /** What of `values` a quantised convolution reads. */
  readonly pictures: ReadonlySet<string>;
}

/** Operators that compute on quantised values where all their inputs are. */
const followers = new Set(["Add", "Mul", "Sigmoid", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool"]);
const activations = new Set(["Relu", "Clip"]);

/**
 * Convolutions with constant weights, and what lies between them. The first one stays float32, for the levels of its input
 * would meet half-way between those of a byte, and so does all behind the last one, so that pooling averages unrounded numbers.
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
  const pictures = new Set([...convolutions].map(({ input }) => input?.[0] ?? ""));
  pictures.forEach(add);
  for (const node of nodes.slice(0, last + 1)) {
    const [output = ""] = node.output ?? [];
    const follows = followers.has(node.opType ?? "") && (node.input ?? []).every((name) => values.has(name));
    if (convolutions.has(node) || follows) add(afterOnly.get(output) ?? output);
  }
  return { values, convolutions, pictures };
}

/** For each value that an activation alone reads, what that makes of it: the two are computed as one. */
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
