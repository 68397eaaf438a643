import type {
  AttributeProto,
  GraphProto,
  NodeProto,
  SparseTensorProto,
  TensorProto,
  ValueInfoProto,
} from "./onnx-proto.js";

/** Maps the names of one model to names in another graph. */
export interface Renaming {
  /** For values; never called with "", the name of an absent optional input. */
  readonly value: (name: string) => string;
  /** For symbolic dimensions. */
  readonly dim: (name: string) => string;
  /** For a node's operator: only calls of model-local functions are renamed. */
  readonly opType: (node: NodeProto) => string;
}

/** A changed copy of a decoded message; keeps the fields that the message table does not list. */
export function copyMessage<T extends object>(source: T, changes: Partial<T>): T {
  const copy: T = { ...source, ...changes };
  const unknowns = Object.getOwnPropertyDescriptor(source, "$unknowns");
  if (unknowns !== undefined) Object.defineProperty(copy, "$unknowns", unknowns);
  return copy;
}

/**
 * Copies a node under new names, subgraphs included. A subgraph may use values of the graphs around it, so the same rule
 * applies to every scope: in ONNX an inner name never hides an outer one.
 */
export function renameNode(node: NodeProto, renaming: Renaming): NodeProto {
  return copyMessage(node, {
    input: (node.input ?? []).map((name) => optional(name, renaming)),
    output: (node.output ?? []).map((name) => optional(name, renaming)),
    opType: renaming.opType(node),
    attribute: (node.attribute ?? []).map((attribute) => renameAttribute(attribute, renaming)),
    ...(node.name === undefined || node.name === "" ? {} : { name: renaming.value(node.name) }),
  });
}

export function renameTensor(tensor: TensorProto, renaming: Renaming): TensorProto {
  return copyMessage(tensor, { name: renaming.value(tensor.name ?? "") });
}

export function renameSparseTensor(sparse: SparseTensorProto, renaming: Renaming): SparseTensorProto {
  return sparse.values === undefined
    ? sparse
    : copyMessage(sparse, { values: renameTensor(sparse.values, renaming) });
}

function optional(name: string, renaming: Renaming): string {
  return name === "" ? "" : renaming.value(name);
}

function renameAttribute(attribute: AttributeProto, renaming: Renaming): AttributeProto {
  if (attribute.g === undefined && (attribute.graphs ?? []).length === 0) return attribute;
  return copyMessage(attribute, {
    ...(attribute.g === undefined ? {} : { g: renameSubgraph(attribute.g, renaming) }),
    ...(attribute.graphs === undefined
      ? {}
      : { graphs: attribute.graphs.map((graph) => renameSubgraph(graph, renaming)) }),
  });
}

function renameSubgraph(graph: GraphProto, renaming: Renaming): GraphProto {
  return copyMessage(graph, {
    node: (graph.node ?? []).map((node) => renameNode(node, renaming)),
    initializer: (graph.initializer ?? []).map((tensor) => renameTensor(tensor, renaming)),
    sparseInitializer: (graph.sparseInitializer ?? []).map((sparse) => renameSparseTensor(sparse, renaming)),
    input: (graph.input ?? []).map((value) => renameValueInfo(value, renaming)),
    output: (graph.output ?? []).map((value) => renameValueInfo(value, renaming)),
    valueInfo: [],
  });
}

function renameValueInfo(value: ValueInfoProto, renaming: Renaming): ValueInfoProto {
  const tensorType = value.type?.tensorType;
  const renamed = copyMessage(value, { name: renaming.value(value.name ?? "") });
  if (value.type === undefined || tensorType?.shape?.dim === undefined) return renamed;
  const dim = tensorType.shape.dim.map((size) =>
    size.dimParam === undefined ? size : { dimParam: renaming.dim(size.dimParam) },
  );
  return copyMessage(renamed, {
    type: copyMessage(value.type, { tensorType: { ...tensorType, shape: { dim } } }),
  });
}
