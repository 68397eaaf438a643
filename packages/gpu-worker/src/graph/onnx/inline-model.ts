import { TrommelError } from "@trommel/common";
import type { GraphBuilder } from "../graph-builder.js";
import { isDefaultDomain, opsetOf } from "./onnx-model.js";
import { copyMessage, renameNode, renameSparseTensor, renameTensor, type Renaming } from "./onnx-names.js";
import { raiseOpset } from "./onnx-opset.js";
import {
  int64ToNumber,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from "./onnx-proto.js";

/** The graphs around the inlined models use GridSample, which exists since opset 16. */
const lowestOpset = 17;

export interface InlineOptions {
  /** Added in front of every name of the model; unique among the models in the graph. */
  readonly prefix: string;
  /** For each input of the model that is not an initialiser, the existing value that replaces it. */
  readonly inputs: Readonly<Record<string, string>>;
}

/** The opset of a graph that can contain all the models: the highest of theirs, and at least 17. */
export function commonOpset(models: readonly ModelProto[]): number {
  return Math.max(lowestOpset, ...models.map((model) => opsetOf(model)));
}

/**
 * Copies a model's nodes and initialisers into a graph under construction, subgraphs and model-local functions included.
 * A model of a lower opset than the graph's is raised first (see onnx-opset.ts).
 * @returns for each output of the model, the name of its value in the graph
 * @throws TrommelError `unsupported` if the opsets cannot be reconciled, `invalid-argument` unless `inputs` names exactly
 *   the model's inputs
 */
export function inlineModel(
  builder: GraphBuilder,
  model: ModelProto,
  options: InlineOptions,
): Readonly<Record<string, string>> {
  const raised = raiseOpset(model, builder.opset);
  const graph = raised.graph ?? {};
  const inputs = checkedInputs(builder, graph, options.inputs);
  const functions = raised.functions ?? [];
  const renaming = renamingOf(options.prefix, inputs, functions);

  const tensors = (graph.initializer ?? []).map((tensor) => renameTensor(tensor, renaming));
  const sparse = (graph.sparseInitializer ?? []).map((tensor) => renameSparseTensor(tensor, renaming));
  const nodes = (graph.node ?? []).map((node) => renameNode(node, renaming));
  for (const { name } of tensors) builder.claim(name ?? "");
  for (const { values } of sparse) builder.claim(values?.name ?? "");
  for (const { output } of nodes) for (const name of output ?? []) if (name !== "") builder.claim(name);
  builder.addInitializers(tensors, sparse);
  builder.addNodes(nodes);
  builder.addFunctions(functions.map((local) => renameFunction(local, renaming)));
  builder.requireIrVersion(int64ToNumber(raised.irVersion ?? 0));
  for (const { domain, version } of raised.opsetImport ?? []) {
    if (!isDefaultDomain(domain)) builder.importDomain(domain ?? "", int64ToNumber(version ?? 1));
  }
  return Object.fromEntries((graph.output ?? []).map(({ name = "" }) => [name, renaming.value(name)]));
}

/** Inputs that a caller must feed. Old exporters also list the initialisers among the inputs. */
export function feedNames(graph: GraphProto): string[] {
  const initializers = new Set((graph.initializer ?? []).map(({ name }) => name));
  return (graph.input ?? []).map(({ name = "" }) => name).filter((name) => !initializers.has(name));
}

function checkedInputs(
  builder: GraphBuilder,
  graph: GraphProto,
  inputs: Readonly<Record<string, string>>,
): ReadonlyMap<string, string> {
  const wanted = feedNames(graph);
  const given = Object.keys(inputs);
  if (wanted.some((name) => !given.includes(name)) || given.some((name) => !wanted.includes(name))) {
    throw new TrommelError(
      "invalid-argument",
      `cannot inline an ONNX model: its inputs are ${wanted.join(", ")}, but got ${given.join(", ") || "none"}. ` +
        "Name exactly its inputs",
    );
  }
  for (const name of Object.values(inputs)) {
    if (!builder.has(name)) {
      throw new TrommelError("internal", `cannot inline an ONNX model: the value "${name}" does not exist`);
    }
  }
  return new Map(Object.entries(inputs));
}

function functionKey(
  domain: string | undefined,
  name: string | undefined,
  overload: string | undefined,
): string {
  return `${domain ?? ""}\n${name ?? ""}\n${overload ?? ""}`;
}

function renamingOf(
  prefix: string,
  inputs: ReadonlyMap<string, string>,
  functions: readonly FunctionProto[],
): Renaming {
  const local = new Set(functions.map(({ domain, name, overload }) => functionKey(domain, name, overload)));
  const opType = (node: NodeProto): string => {
    const isLocal = local.has(functionKey(node.domain, node.opType, node.overload));
    return isLocal ? prefix + (node.opType ?? "") : (node.opType ?? "");
  };
  return { value: (name) => inputs.get(name) ?? prefix + name, dim: (name) => prefix + name, opType };
}

/** Values inside a function have their own scope, so only the function itself and its calls of other functions are renamed. */
function renameFunction(local: FunctionProto, renaming: Renaming): FunctionProto {
  const calls: Renaming = { ...renaming, value: (name) => name, dim: (name) => name };
  const self: NodeProto = {
    ...(local.domain === undefined ? {} : { domain: local.domain }),
    ...(local.name === undefined ? {} : { opType: local.name }),
    ...(local.overload === undefined ? {} : { overload: local.overload }),
  };
  return copyMessage(local, {
    name: renaming.opType(self),
    node: (local.node ?? []).map((node) => renameNode(node, calls)),
  });
}
