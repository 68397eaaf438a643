import protobuf from "protobufjs";
import { TrommelError, messageOf } from "@trommel/common";
import {
  elementSizeBytes,
  int64ToNumber,
  messages,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from "./onnx-proto.js";

// Proto2 presence, so that an explicit zero stays explicit.
const root = protobuf.Root.fromJSON({
  nested: Object.fromEntries(
    Object.entries(messages).map(([name, table]) => [name, { edition: "proto2", fields: mapFields(table) }]),
  ),
});

function mapFields(table: Readonly<Record<string, readonly [id: number, type: string, rule?: "repeated"]>>) {
  return Object.fromEntries(
    Object.entries(table).map(([name, [id, type, rule]]) => [
      name,
      rule === undefined ? { id, type } : { id, type, rule },
    ]),
  );
}

/**
 * protobufjs puts each field's default on the message's prototype, so that an absent submessage reads as null and an absent
 * integer as 0. Without these defaults an absent field reads as undefined, as its type says.
 */
function withoutPrototypeDefaults(name: string): void {
  const type = root.lookupType(name);
  for (const field of type.fieldsArray) Reflect.deleteProperty(type.ctor.prototype as object, field.name);
}

Object.keys(messages).forEach(withoutPrototypeDefaults);
const modelProtoType = root.lookupType("ModelProto");

/** protobuf's own limit for one message. */
const protobufMaxBytes = 2 ** 31 - 1;

export interface DecodeModelOptions {
  /** Name of the bytes in error messages. @default "ONNX model" */
  readonly name?: string;
  /** @default 2 GiB - 1, protobuf's own limit */
  readonly maxBytes?: number;
  /** Leaves weights in other files as references, which `withExternalData` resolves. @default false: they are refused */
  readonly externalData?: boolean;
}

/**
 * Reads an ONNX file. Tensors' bytes are views into `bytes`, so the caller must not change them afterwards.
 * @throws TrommelError `too-large` above `maxBytes`, `corrupt` when the bytes are not a whole ONNX model,
 *   `unsupported` when weights are in other files (external data)
 */
export function decodeModel(bytes: Uint8Array, options: DecodeModelOptions = {}): ModelProto {
  const name = options.name ?? "ONNX model";
  const maxBytes = options.maxBytes ?? protobufMaxBytes;
  if (bytes.byteLength > maxBytes) {
    throw new TrommelError(
      "too-large",
      `cannot read ${name}: it has ${bytes.byteLength} bytes, the limit is ${maxBytes}. Use a smaller model`,
    );
  }
  const model = decodeMessage(bytes, name);
  if (model.graph === undefined || (model.graph.node ?? []).length === 0 || model.irVersion === undefined) {
    throw corrupt(name, "it contains no graph, so it is no ONNX model, or a part of one");
  }
  opsetOf(model, name);
  const rules = { name, externalData: options.externalData ?? false };
  checkGraph(model.graph, rules);
  for (const { node } of model.functions ?? []) checkNodes(node ?? [], rules);
  return model;
}

/** Equal models give equal bytes: fields in the order of their numbers, lists in their own order. */
export function encodeModel(model: ModelProto): Uint8Array {
  return modelProtoType.encode(model).finish();
}

/** The version of the default operator domain (`ai.onnx`). */
export function opsetOf(model: ModelProto, name = "ONNX model"): number {
  const entry = (model.opsetImport ?? []).find(({ domain }) => isDefaultDomain(domain));
  if (entry?.version === undefined) {
    throw corrupt(name, "it states no version of the default operator domain");
  }
  return int64ToNumber(entry.version);
}

/** Whether a tensor's bytes are in another file. */
export function isExternal(tensor: TensorProto): boolean {
  return tensor.dataLocation === 1 || (tensor.externalData ?? []).length > 0;
}

export function isDefaultDomain(domain: string | undefined): boolean {
  return domain === undefined || domain === "" || domain === "ai.onnx";
}

function decodeMessage(bytes: Uint8Array, name: string): ModelProto {
  const reader = protobuf.Reader.create(bytes);
  reader.discardUnknown = false;
  try {
    return modelProtoType.decode(reader) as ModelProto;
  } catch (thrown) {
    throw corrupt(name, `it is no ONNX file, or a part of one (${messageOf(thrown)})`, thrown);
  }
}

function corrupt(name: string, why: string, cause?: unknown): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read ${name}: ${why}. Fetch or export the file again and compare its sha256`,
    cause === undefined ? {} : { cause },
  );
}

interface Rules {
  readonly name: string;
  readonly externalData: boolean;
}

function checkGraph(graph: GraphProto, rules: Rules): void {
  for (const tensor of graph.initializer ?? []) checkTensor(tensor, rules);
  for (const { values, indices } of graph.sparseInitializer ?? []) {
    if (values !== undefined) checkTensor(values, rules);
    if (indices !== undefined) checkTensor(indices, rules);
  }
  checkNodes(graph.node ?? [], rules);
}

function checkNodes(nodes: readonly NodeProto[], rules: Rules): void {
  for (const node of nodes) {
    if (node.opType === undefined || node.opType === "") throw corrupt(rules.name, "a node has no operator");
    for (const attribute of node.attribute ?? []) checkAttribute(attribute, rules);
  }
}

function checkAttribute(attribute: AttributeProto, rules: Rules): void {
  for (const tensor of [attribute.t, ...(attribute.tensors ?? [])]) {
    if (tensor !== undefined) checkTensor(tensor, rules);
  }
  for (const sparse of [attribute.sparseTensor, ...(attribute.sparseTensors ?? [])]) {
    if (sparse?.values !== undefined) checkTensor(sparse.values, rules);
    if (sparse?.indices !== undefined) checkTensor(sparse.indices, rules);
  }
  for (const graph of [attribute.g, ...(attribute.graphs ?? [])]) {
    if (graph !== undefined) checkGraph(graph, rules);
  }
}

function checkTensor(tensor: TensorProto, rules: Rules): void {
  const label = tensor.name ?? "";
  const { name, externalData } = rules;
  if (isExternal(tensor)) {
    if (externalData) return;
    throw new TrommelError(
      "unsupported",
      `cannot read ${name}: the weights of tensor "${label}" are in another file (external data). ` +
        "Save the model as one file, for example with onnx.save_model(model, path, save_as_external_data=False)",
    );
  }
  const dims = (tensor.dims ?? []).map(int64ToNumber);
  if (dims.some((dim) => dim < 0)) throw corrupt(name, `tensor "${label}" has a negative dimension`);
  const itemBytes = elementSizeBytes[tensor.dataType ?? 0];
  if (tensor.rawData === undefined || itemBytes === undefined) return;
  const expected = dims.reduce((product, dim) => product * dim, itemBytes);
  if (tensor.rawData.byteLength !== expected) {
    throw corrupt(
      name,
      `tensor "${label}" has ${tensor.rawData.byteLength} bytes, its shape needs ${expected}`,
    );
  }
}
