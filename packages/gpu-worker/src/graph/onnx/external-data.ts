import { createHash } from "node:crypto";
import { TrommelError, sha256Hex } from "@trommel/common";
import { isExternal } from "./onnx-model.js";
import { copyMessage } from "./onnx-names.js";
import {
  elementSizeBytes,
  int64ToNumber,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from "./onnx-proto.js";

/** A file of weights that a model names. */
export interface ExternalFile {
  /** Relative to the model's folder. */
  readonly path: string;
  readonly sha256: string;
}

/** One message of protobuf, as which a model with its weights is stored and run. */
const modelBytesAtMost = 2 ** 31 - 1;

/**
 * Brings weights that are in other files (onnx/docs/ExternalData.md) into the model. Each file is read once; tensors are views
 * into its bytes.
 * @param readFile reads a file by its path relative to the model's folder
 * @throws TrommelError `corrupt` for a location that is not a plain relative path and for a range outside its file, `too-large`
 *   if the weights exceed 2 GiB, and as `readFile` does
 */
export async function withExternalData(
  model: ModelProto,
  name: string,
  readFile: (path: string) => Promise<Uint8Array>,
): Promise<{ readonly model: ModelProto; readonly files: readonly ExternalFile[] }> {
  const references = new Map<TensorProto, Reference>();
  forEachTensor(model, (tensor) => {
    if (isExternal(tensor)) references.set(tensor, referenceOf(tensor, name));
  });
  if (references.size === 0) return { model, files: [] };
  const contents = new Map<string, Uint8Array>();
  for (const { location, checksum } of references.values()) {
    if (contents.has(location)) continue;
    const bytes = await readFile(location);
    if (checksum !== undefined && createHash("sha1").update(bytes).digest("hex") !== checksum.toLowerCase())
      throw broken(name, `${location} has another SHA-1 than the model states`);
    contents.set(location, bytes);
  }
  const load = (tensor: TensorProto): TensorProto => {
    const reference = references.get(tensor);
    return reference === undefined ? tensor : loaded(tensor, reference, contents, name);
  };
  const inside = mapTensors(model, load);
  checkSize(inside, name);
  const files = [...contents].map(([path, bytes]) => ({ path, sha256: sha256Hex(bytes) }));
  return { model: inside, files };
}

interface Reference {
  readonly location: string;
  readonly offset: number;
  /** undefined: to the end of the tensor. */
  readonly length: number | undefined;
  readonly checksum: string | undefined;
}

function referenceOf(tensor: TensorProto, name: string): Reference {
  const entries = new Map((tensor.externalData ?? []).map(({ key = "", value = "" }) => [key, value]));
  const location = (entries.get("location") ?? "").replace(/^(\.\/)+/, "");
  checkLocation(location, tensor, name);
  const whole = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
    throw broken(name, `tensor "${tensor.name ?? ""}" has the ${key} "${text}" in ${location}`);
  };
  return {
    location,
    offset: whole("offset") ?? 0,
    length: whole("length"),
    checksum: entries.get("checksum"),
  };
}

/** A file of weights is in the model's folder or below; a model must not name any other place. */
function checkLocation(location: string, tensor: TensorProto, name: string): void {
  const segments = location.split("/");
  const escapes = segments.some((segment) => segment === "" || segment === "." || segment === "..");
  if (!escapes && !/[\\:\0]/.test(location)) return;
  throw broken(
    name,
    `the weights of tensor "${tensor.name ?? ""}" are in ${JSON.stringify(location)}, which is not a plain path below the model's folder`,
  );
}

function loaded(
  tensor: TensorProto,
  { location, offset, length }: Reference,
  contents: ReadonlyMap<string, Uint8Array>,
  name: string,
): TensorProto {
  const bytes = contents.get(location) ?? new Uint8Array();
  const itemBytes = elementSizeBytes[tensor.dataType ?? 0];
  const count = (tensor.dims ?? []).reduce((product: number, dim) => product * int64ToNumber(dim), 1);
  const expected = itemBytes === undefined ? undefined : itemBytes * count;
  const sizeBytes = length ?? expected ?? bytes.byteLength - offset;
  if ((expected ?? sizeBytes) !== sizeBytes || offset + sizeBytes > bytes.byteLength) {
    throw broken(
      name,
      `tensor "${tensor.name ?? ""}" needs ${expected ?? sizeBytes} bytes, and the model places ${sizeBytes} of them at ${offset} in ${location}, which has ${bytes.byteLength}`,
    );
  }
  const { externalData: _data, dataLocation: _location, ...rest } = tensor;
  return copyMessage({ ...rest }, { rawData: bytes.subarray(offset, offset + sizeBytes) });
}

function checkSize(model: ModelProto, name: string): void {
  let total = 0;
  forEachTensor(model, ({ rawData }) => void (total += rawData?.byteLength ?? 0));
  if (total <= modelBytesAtMost) return;
  throw new TrommelError(
    "too-large",
    `cannot read ${name}: its weights have ${total} bytes with those in other files, and a backbone is one file of at most ${modelBytesAtMost} bytes. Export it in half precision, or use a smaller network`,
  );
}

function broken(name: string, why: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read ${name}: ${why}. Fetch or export its files again, all together`,
  );
}

function forEachTensor(model: ModelProto, visit: (tensor: TensorProto) => void): void {
  mapTensors(model, (tensor) => {
    visit(tensor);
    return tensor;
  });
}

/** Initialisers, sparse ones, and the tensors in attributes, in every subgraph and function. */
function mapTensors(model: ModelProto, change: (tensor: TensorProto) => TensorProto): ModelProto {
  const ofNode = (node: NodeProto): NodeProto => {
    if (
      (node.attribute ?? []).every(
        ({ t, g, tensors, graphs }) =>
          t === undefined && g === undefined && (tensors ?? []).length + (graphs ?? []).length === 0,
      )
    )
      return node;
    const attribute = (node.attribute ?? []).map((one) =>
      copyMessage(one, {
        ...(one.t === undefined ? {} : { t: change(one.t) }),
        ...(one.tensors === undefined ? {} : { tensors: one.tensors.map(change) }),
        ...(one.g === undefined ? {} : { g: ofGraph(one.g) }),
        ...(one.graphs === undefined ? {} : { graphs: one.graphs.map(ofGraph) }),
      }),
    );
    return copyMessage(node, { attribute });
  };
  const ofGraph = (graph: GraphProto): GraphProto =>
    copyMessage(graph, {
      initializer: (graph.initializer ?? []).map(change),
      sparseInitializer: (graph.sparseInitializer ?? []).map((sparse) =>
        copyMessage(sparse, {
          ...(sparse.values === undefined ? {} : { values: change(sparse.values) }),
          ...(sparse.indices === undefined ? {} : { indices: change(sparse.indices) }),
        }),
      ),
      node: (graph.node ?? []).map(ofNode),
    });
  return copyMessage(model, {
    ...(model.graph === undefined ? {} : { graph: ofGraph(model.graph) }),
    functions: (model.functions ?? []).map((local) =>
      copyMessage(local, { node: (local.node ?? []).map(ofNode) }),
    ),
  });
}
