/**
 * The ONNX protobuf messages, field numbers as in onnx/onnx.proto3 (Apache-2.0, https://github.com/onnx/onnx).
 * The table is the only place that lists them: protobufjs reads it (onnx-model.ts), and the types are inferred from it.
 *
 * It differs from the published file in two ways, so that decoding and encoding again is lossless and cheap:
 * - enums are int32, so that a value newer than this table survives;
 * - packed number lists of tensors (`floatData`, `int32Data`, …) are raw chunks, little-endian or varint (`repeated bytes`
 *   has the same wire type), so that weights are neither parsed nor copied. `floatValues` (onnx-values.ts) reads them.
 */
type Field = readonly [id: number, type: string, rule?: "repeated"];

export const messages = {
  AttributeProto: {
    name: [1, "string"],
    refAttrName: [21, "string"],
    docString: [13, "string"],
    type: [20, "int32"],
    f: [2, "float"],
    i: [3, "int64"],
    s: [4, "bytes"],
    t: [5, "TensorProto"],
    g: [6, "GraphProto"],
    sparseTensor: [22, "SparseTensorProto"],
    tp: [14, "TypeProto"],
    floats: [7, "float", "repeated"],
    ints: [8, "int64", "repeated"],
    strings: [9, "bytes", "repeated"],
    tensors: [10, "TensorProto", "repeated"],
    graphs: [11, "GraphProto", "repeated"],
    sparseTensors: [23, "SparseTensorProto", "repeated"],
    typeProtos: [15, "TypeProto", "repeated"],
  },
  ValueInfoProto: {
    name: [1, "string"],
    type: [2, "TypeProto"],
    docString: [3, "string"],
    metadataProps: [4, "StringStringEntryProto", "repeated"],
  },
  NodeProto: {
    input: [1, "string", "repeated"],
    output: [2, "string", "repeated"],
    name: [3, "string"],
    opType: [4, "string"],
    domain: [7, "string"],
    overload: [8, "string"],
    attribute: [5, "AttributeProto", "repeated"],
    docString: [6, "string"],
    metadataProps: [9, "StringStringEntryProto", "repeated"],
  },
  TrainingInfoProto: {
    initialization: [1, "GraphProto"],
    algorithm: [2, "GraphProto"],
    initializationBinding: [3, "StringStringEntryProto", "repeated"],
    updateBinding: [4, "StringStringEntryProto", "repeated"],
  },
  ModelProto: {
    irVersion: [1, "int64"],
    opsetImport: [8, "OperatorSetIdProto", "repeated"],
    producerName: [2, "string"],
    producerVersion: [3, "string"],
    domain: [4, "string"],
    modelVersion: [5, "int64"],
    docString: [6, "string"],
    graph: [7, "GraphProto"],
    metadataProps: [14, "StringStringEntryProto", "repeated"],
    trainingInfo: [20, "TrainingInfoProto", "repeated"],
    functions: [25, "FunctionProto", "repeated"],
  },
  StringStringEntryProto: {
    key: [1, "string"],
    value: [2, "string"],
  },
  TensorAnnotation: {
    tensorName: [1, "string"],
    quantParameterTensorNames: [2, "StringStringEntryProto", "repeated"],
  },
  GraphProto: {
    node: [1, "NodeProto", "repeated"],
    name: [2, "string"],
    initializer: [5, "TensorProto", "repeated"],
    sparseInitializer: [15, "SparseTensorProto", "repeated"],
    docString: [10, "string"],
    input: [11, "ValueInfoProto", "repeated"],
    output: [12, "ValueInfoProto", "repeated"],
    valueInfo: [13, "ValueInfoProto", "repeated"],
    quantizationAnnotation: [14, "TensorAnnotation", "repeated"],
    metadataProps: [16, "StringStringEntryProto", "repeated"],
  },
  TensorProto: {
    dims: [1, "int64", "repeated"],
    dataType: [2, "int32"],
    segment: [3, "TensorSegment"],
    floatData: [4, "bytes", "repeated"],
    int32Data: [5, "bytes", "repeated"],
    stringData: [6, "bytes", "repeated"],
    int64Data: [7, "bytes", "repeated"],
    name: [8, "string"],
    docString: [12, "string"],
    rawData: [9, "bytes"],
    externalData: [13, "StringStringEntryProto", "repeated"],
    dataLocation: [14, "int32"],
    doubleData: [10, "bytes", "repeated"],
    uint64Data: [11, "bytes", "repeated"],
    metadataProps: [16, "StringStringEntryProto", "repeated"],
  },
  TensorSegment: {
    begin: [1, "int64"],
    end: [2, "int64"],
  },
  SparseTensorProto: {
    values: [1, "TensorProto"],
    indices: [2, "TensorProto"],
    dims: [3, "int64", "repeated"],
  },
  TensorShapeProto: { dim: [1, "Dimension", "repeated"] },
  Dimension: {
    dimValue: [1, "int64"],
    dimParam: [2, "string"],
    denotation: [3, "string"],
  },
  TypeProto: {
    tensorType: [1, "TensorType"],
    sequenceType: [4, "ElementType"],
    mapType: [5, "MapType"],
    optionalType: [9, "ElementType"],
    sparseTensorType: [8, "TensorType"],
    denotation: [6, "string"],
  },
  TensorType: {
    elemType: [1, "int32"],
    shape: [2, "TensorShapeProto"],
  },
  ElementType: { elemType: [1, "TypeProto"] },
  MapType: {
    keyType: [1, "int32"],
    valueType: [2, "TypeProto"],
  },
  OperatorSetIdProto: {
    domain: [1, "string"],
    version: [2, "int64"],
  },
  FunctionProto: {
    name: [1, "string"],
    input: [4, "string", "repeated"],
    output: [5, "string", "repeated"],
    attribute: [6, "string", "repeated"],
    attributeProto: [11, "AttributeProto", "repeated"],
    node: [7, "NodeProto", "repeated"],
    docString: [8, "string"],
    opsetImport: [9, "OperatorSetIdProto", "repeated"],
    domain: [10, "string"],
    overload: [13, "string"],
    valueInfo: [12, "ValueInfoProto", "repeated"],
    metadataProps: [14, "StringStringEntryProto", "repeated"],
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Field>>>>;

/** int64 as protobufjs decodes it (an object of the package `long`), or a plain number in messages built here. */
export type Int64 = number | { toNumber(): number };

interface Scalars {
  string: string;
  bytes: Uint8Array;
  int32: number;
  int64: Int64;
  float: number;
}

type Messages = typeof messages;
type Value<Type> = Type extends keyof Scalars
  ? Scalars[Type]
  : Type extends keyof Messages
    ? Message<Type>
    : never;

/** Every field may be absent (proto2 presence). Fields that the table does not list survive decoding and encoding, unseen. */
type Message<Name extends keyof Messages> = {
  -readonly [FieldName in keyof Messages[Name]]?: Messages[Name][FieldName] extends readonly [
    number,
    infer Type,
    "repeated",
  ]
    ? Value<Type>[]
    : Messages[Name][FieldName] extends readonly [number, infer Type]
      ? Value<Type>
      : never;
};

export type TensorProto = Message<"TensorProto">;
export type SparseTensorProto = Message<"SparseTensorProto">;
export type ValueInfoProto = Message<"ValueInfoProto">;
export type AttributeProto = Message<"AttributeProto">;
export type NodeProto = Message<"NodeProto">;
export type GraphProto = Message<"GraphProto">;
export type FunctionProto = Message<"FunctionProto">;
export type ModelProto = Message<"ModelProto">;

/** `AttributeProto.AttributeType`. */
export const attributeTypes = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
} as const;

/** `TensorProto.DataType` for the element types that this code writes. */
export const elementTypeCodes = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
} as const;
export type ElementType = keyof typeof elementTypeCodes;

/** Bytes of one element of each `TensorProto.DataType` with a whole number of bytes. */
export const elementSizeBytes: Readonly<Record<number, number>> = {
  1: 4,
  2: 1,
  3: 1,
  4: 2,
  5: 2,
  6: 4,
  7: 8,
  9: 1,
  10: 2,
  11: 8,
  12: 4,
  13: 8,
  14: 8,
  15: 16,
  16: 2,
  17: 1,
  18: 1,
  19: 1,
  20: 1,
};

export function int64ToNumber(value: Int64): number {
  return typeof value === "number" ? value : value.toNumber();
}
