import { createHash } from "node:crypto";
import type { BackboneSpec } from "@trommel/common";
import { GraphBuilder } from "./graph-builder.js";
import { commonOpset, inlineModel } from "./onnx/inline-model.js";
import { decodeModel, encodeModel } from "./onnx/onnx-model.js";
import { copyMessage, renameNode, type Renaming } from "./onnx/onnx-names.js";
import {
  int64ToNumber,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from "./onnx/onnx-proto.js";
import { inputKey } from "./sampling.js";

/**
 * Backbones that are cuts of one network, such as an earlier layer and the last one, or the same layer pooled in two ways, have
 * their first layers in common. Those are computed once: the graph gets one network whose embedding is theirs side by side.
 */

/** A network to inline, whose only output is `embedding`. */
export interface Network {
  readonly spec: BackboneSpec;
  readonly model: ModelProto;
}

/**
 * Joins neighbours that take the same input and have a weight in common; all others stay what they are. Every number of the
 * embeddings, and their order, is what it was.
 */
export function shareTrunks(networks: readonly Network[]): readonly Network[] {
  const joined: Network[] = [];
  for (const network of networks) {
    const before = joined.at(-1);
    if (before !== undefined && haveTrunk(before, network)) joined[joined.length - 1] = join(before, network);
    else joined.push(network);
  }
  return joined;
}

/** Smaller tensors than this are equal by chance: shapes, axes and the like. */
const weightBytes = 1024;

function haveTrunk(one: Network, other: Network): boolean {
  if (inputKey(one.spec) !== inputKey(other.spec)) return false;
  const weights = weightsOf(other);
  return weightsOf(one).some((weight) => weights.some((candidate) => isSameTensor(weight, candidate)));
}

function weightsOf({ model }: Network): TensorProto[] {
  return (model.graph?.initializer ?? []).filter((tensor) => bytesOf(tensor).byteLength >= weightBytes);
}

function isSameTensor(one: TensorProto, other: TensorProto): boolean {
  if (one.dataType !== other.dataType || shapeOf(one) !== shapeOf(other)) return false;
  return Buffer.compare(bytesOf(one), bytesOf(other)) === 0;
}

const shapeOf = ({ dims = [] }: TensorProto): string => dims.map(int64ToNumber).join();

const bytesOf = (tensor: TensorProto): Uint8Array => tensor.rawData ?? Buffer.concat(tensor.floatData ?? []);

function join(one: Network, other: Network): Network {
  const builder = new GraphBuilder({
    opset: commonOpset([one.model, other.model]),
    graphName: "shared_trunk",
  });
  const { inputSize } = one.spec;
  const image = builder.input("image", "float32", ["images", 3, inputSize, inputSize]);
  const embeddings = [one, other].map(({ model }, at) => {
    const [embedding = ""] = Object.values(
      inlineModel(builder, model, { prefix: `cut_${at}/`, inputs: { image } }),
    );
    return embedding;
  });
  const dimension = one.spec.dimension + other.spec.dimension;
  builder.output(
    "embedding",
    "float32",
    ["images", dimension],
    builder.node("Concat", embeddings, { axis: 1 }),
  );
  const name = `${one.spec.name}, ${other.spec.name}`;
  const model = decodeModel(builder.encode(), { name });
  const graph = mergeEqual(model.graph ?? {});
  return { spec: { ...one.spec, name, dimension }, model: copyMessage(model, { graph }) };
}

/**
 * Removes duplicates: tensors with equal content, and nodes with the same operator, attributes and inputs, are replaced by the first of
 * them. Nodes that draw random numbers and nodes that produce an output of the graph are kept.
 */
export function mergeEqual(graph: GraphProto): GraphProto {
  const outputs = new Set((graph.output ?? []).map(({ name = "" }) => name));
  const firstNames = new Map<string, readonly string[]>();
  const replacement = new Map<string, string>();
  const replaces = (key: string, names: readonly string[]): boolean => {
    const first = firstNames.get(key) ?? names;
    firstNames.set(key, first);
    if (first === names || names.some((name) => outputs.has(name))) return false;
    for (const [at, name] of names.entries()) replacement.set(name, first[at] ?? name);
    return true;
  };
  const renaming: Renaming = {
    value: (name) => replacement.get(name) ?? name,
    dim: (name) => name,
    opType: ({ opType = "" }) => opType,
  };
  const initializer = (graph.initializer ?? []).filter(
    (tensor) => !replaces(`tensor ${tensorKey(tensor)}`, [tensor.name ?? ""]),
  );
  const node = (graph.node ?? []).flatMap((one) => {
    const renamed = renameNode(one, renaming);
    const isDuplicate = !isRandom(one) && replaces(`node ${nodeKey(renamed)}`, one.output ?? []);
    return isDuplicate ? [] : [renamed];
  });
  return copyMessage(graph, { initializer, node });
}

function isRandom({ opType = "" }: NodeProto): boolean {
  return /^(Random|Bernoulli|Multinomial)/.test(opType);
}

function tensorKey(tensor: TensorProto): string {
  return digest({ initializer: [copyMessage(tensor, { name: "" })] });
}

function nodeKey(node: NodeProto): string {
  return `${node.output?.length ?? 0} ${digest({ node: [copyMessage(node, { name: "", output: [] })] })}`;
}

function digest(graph: GraphProto): string {
  return createHash("sha256").update(encodeModel({ graph })).digest("hex");
}
