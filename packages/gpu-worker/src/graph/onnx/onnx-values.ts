import { TrommelError } from "@trommel/common";
import {
  attributeTypes,
  elementSizeBytes,
  elementTypeCodes,
  int64ToNumber,
  type AttributeProto,
  type ElementType,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "./onnx-proto.js";

/** The data of a constant: float16 as bit patterns in a Uint16Array, bool as bytes of 0 and 1. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A plain number or list of numbers is an integer attribute; floats are marked because ONNX distinguishes the two. */
export type AttributeValue =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly strings: readonly string[] }
  | { readonly tensor: TensorProto }
  | { readonly graph: GraphProto };

/** A number is a fixed dimension, a string a symbolic one. */
export type Dim = number | string;

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** A tensor message that views the bytes of `data` without copying them. */
export function tensorProto(
  elementType: ElementType,
  dims: readonly number[],
  data: TensorData,
): TensorProto {
  const dataType = elementTypeCodes[elementType];
  const expected = dims.reduce((product, dim) => product * dim, 1);
  if (data.length !== expected || data.BYTES_PER_ELEMENT !== elementSizeBytes[dataType] || !littleEndian) {
    throw new TrommelError(
      "internal",
      `cannot build an ONNX tensor: got ${data.length} elements of ${data.BYTES_PER_ELEMENT} bytes for ` +
        `${elementType} [${dims.join(", ")}]`,
    );
  }
  return {
    dims: [...dims],
    dataType,
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

/** An attribute message whose type follows from the value. */
export function attributeProto(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === "number") return { name, type: attributeTypes.int, i: integer(name, value) };
  if (typeof value === "string") return { name, type: attributeTypes.string, s: Buffer.from(value, "utf8") };
  if (Array.isArray(value)) {
    return {
      name,
      type: attributeTypes.ints,
      ints: (value as readonly number[]).map((item) => integer(name, item)),
    };
  }
  const marked = value as Exclude<AttributeValue, number | string | readonly number[]>;
  if ("float" in marked) return { name, type: attributeTypes.float, f: marked.float };
  if ("floats" in marked) return { name, type: attributeTypes.floats, floats: [...marked.floats] };
  if ("tensor" in marked) return { name, type: attributeTypes.tensor, t: marked.tensor };
  if ("graph" in marked) return { name, type: attributeTypes.graph, g: marked.graph };
  return {
    name,
    type: attributeTypes.strings,
    strings: marked.strings.map((item) => Buffer.from(item, "utf8")),
  };
}

function integer(name: string, value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw new TrommelError(
    "internal",
    `cannot build the ONNX attribute ${name}: ${value} is not an integer. Write { float: … }`,
  );
}

/**
 * Copies the values of a float32 tensor, which exporters write as raw bytes or as a packed list.
 * @throws TrommelError `internal` for a tensor of another type, `corrupt` if values are missing
 */
export function floatValues(tensor: TensorProto): Float32Array {
  if (tensor.dataType !== elementTypeCodes.float32) {
    throw new TrommelError("internal", `cannot read the tensor ${tensor.name ?? ""}: it is not float32`);
  }
  const bytes = tensor.rawData ?? Buffer.concat(tensor.floatData ?? []);
  const count = (tensor.dims ?? []).reduce((product: number, dim) => product * int64ToNumber(dim), 1);
  if (bytes.byteLength !== count * 4) {
    throw new TrommelError(
      "corrupt",
      `cannot read the tensor ${tensor.name ?? ""}: it has ${bytes.byteLength} bytes, its shape needs ${count * 4}. Export the model again`,
    );
  }
  // Copied because the bytes of a decoded model may start at any offset.
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

export function attributeIn(node: NodeProto, name: string): AttributeProto | undefined {
  return (node.attribute ?? []).find((attribute) => attribute.name === name);
}

/** An input or output message. @param shape undefined leaves shape and rank open */
export function valueInfoProto(
  name: string,
  elementType: ElementType,
  shape: readonly Dim[] | undefined,
): ValueInfoProto {
  const elemType = elementTypeCodes[elementType];
  if (shape === undefined) return { name, type: { tensorType: { elemType } } };
  const dim = shape.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}
