import protobuf from "protobufjs";

/**
 * The ONNX protobuf messages, field numbers as in onnx/onnx.proto3 (Apache-2.0, https://github.com/onnx/onnx).
 *
 * Three departures that keep a decode/encode round trip lossless and cheap:
 * - enums are int32, so that a value newer than this table survives;
 * - packed number lists of tensors are kept as raw chunks (`repeated bytes` has the same wire type), so that
 *   weights are neither parsed nor copied;
 * - proto2 presence, so that an explicit zero stays explicit.
 */

type FieldRow = readonly [name: string, id: number, type: string, rule?: "repeated"];

const messages: Readonly<Record<string, readonly FieldRow[]>> = {
  AttributeProto: [
    ["name", 1, "string"],
    ["refAttrName", 21, "string"],
    ["docString", 13, "string"],
    ["type", 20, "int32"],
    ["f", 2, "float"],
    ["i", 3, "int64"],
    ["s", 4, "bytes"],
    ["t", 5, "TensorProto"],
    ["g", 6, "GraphProto"],
    ["sparseTensor", 22, "SparseTensorProto"],
    ["tp", 14, "TypeProto"],
    ["floats", 7, "float", "repeated"],
    ["ints", 8, "int64", "repeated"],
    ["strings", 9, "bytes", "repeated"],
    ["tensors", 10, "TensorProto", "repeated"],
    ["graphs", 11, "GraphProto", "repeated"],
    ["sparseTensors", 23, "SparseTensorProto", "repeated"],
    ["typeProtos", 15, "TypeProto", "repeated"],
  ],
  ValueInfoProto: [
    ["name", 1, "string"],
    ["type", 2, "TypeProto"],
    ["docString", 3, "string"],
    ["metadataProps", 4, "StringStringEntryProto", "repeated"],
  ],
  NodeProto: [
    ["input", 1, "string", "repeated"],
    ["output", 2, "string", "repeated"],
    ["name", 3, "string"],
    ["opType", 4, "string"],
    ["domain", 7, "string"],
    ["overload", 8, "string"],
    ["attribute", 5, "AttributeProto", "repeated"],
    ["docString", 6, "string"],
    ["metadataProps", 9, "StringStringEntryProto", "repeated"],
  ],
  TrainingInfoProto: [
    ["initialization", 1, "GraphProto"],
    ["algorithm", 2, "GraphProto"],
    ["initializationBinding", 3, "StringStringEntryProto", "repeated"],
    ["updateBinding", 4, "StringStringEntryProto", "repeated"],
  ],
  ModelProto: [
    ["irVersion", 1, "int64"],
    ["opsetImport", 8, "OperatorSetIdProto", "repeated"],
    ["producerName", 2, "string"],
    ["producerVersion", 3, "string"],
    ["domain", 4, "string"],
    ["modelVersion", 5, "int64"],
    ["docString", 6, "string"],
    ["graph", 7, "GraphProto"],
    ["metadataProps", 14, "StringStringEntryProto", "repeated"],
    ["trainingInfo", 20, "TrainingInfoProto", "repeated"],
    ["functions", 25, "FunctionProto", "repeated"],
  ],
  StringStringEntryProto: [
    ["key", 1, "string"],
    ["value", 2, "string"],
  ],
  TensorAnnotation: [
    ["tensorName", 1, "string"],
    ["quantParameterTensorNames", 2, "StringStringEntryProto", "repeated"],
  ],
  GraphProto: [
    ["node", 1, "NodeProto", "repeated"],
    ["name", 2, "string"],
    ["initializer", 5, "TensorProto", "repeated"],
    ["sparseInitializer", 15, "SparseTensorProto", "repeated"],
    ["docString", 10, "string"],
    ["input", 11, "ValueInfoProto", "repeated"],
    ["output", 12, "ValueInfoProto", "repeated"],
    ["valueInfo", 13, "ValueInfoProto", "repeated"],
    ["quantizationAnnotation", 14, "TensorAnnotation", "repeated"],
    ["metadataProps", 16, "StringStringEntryProto", "repeated"],
  ],
  TensorProto: [
    ["dims", 1, "int64", "repeated"],
    ["dataType", 2, "int32"],
    ["segment", 3, "TensorSegment"],
    ["floatData", 4, "bytes", "repeated"],
    ["int32Data", 5, "bytes", "repeated"],
    ["stringData", 6, "bytes", "repeated"],
    ["int64Data", 7, "bytes", "repeated"],
    ["name", 8, "string"],
    ["docString", 12, "string"],
    ["rawData", 9, "bytes"],
    ["externalData", 13, "StringStringEntryProto", "repeated"],
    ["dataLocation", 14, "int32"],
    ["doubleData", 10, "bytes", "repeated"],
    ["uint64Data", 11, "bytes", "repeated"],
    ["metadataProps", 16, "StringStringEntryProto", "repeated"],
  ],
  TensorSegment: [
    ["begin", 1, "int64"],
    ["end", 2, "int64"],
  ],
  SparseTensorProto: [
    ["values", 1, "TensorProto"],
    ["indices", 2, "TensorProto"],
    ["dims", 3, "int64", "repeated"],
  ],
  TensorShapeProto: [["dim", 1, "Dimension", "repeated"]],
  Dimension: [
    ["dimValue", 1, "int64"],
    ["dimParam", 2, "string"],
    ["denotation", 3, "string"],
  ],
  TypeProto: [
    ["tensorType", 1, "TensorType"],
    ["sequenceType", 4, "ElementType"],
    ["mapType", 5, "MapType"],
    ["optionalType", 9, "ElementType"],
    ["sparseTensorType", 8, "TensorType"],
    ["denotation", 6, "string"],
  ],
  TensorType: [
    ["elemType", 1, "int32"],
    ["shape", 2, "TensorShapeProto"],
  ],
  ElementType: [["elemType", 1, "TypeProto"]],
  MapType: [
    ["keyType", 1, "int32"],
    ["valueType", 2, "TypeProto"],
  ],
  OperatorSetIdProto: [
    ["domain", 1, "string"],
    ["version", 2, "int64"],
  ],
  FunctionProto: [
    ["name", 1, "string"],
    ["input", 4, "string", "repeated"],
    ["output", 5, "string", "repeated"],
    ["attribute", 6, "string", "repeated"],
    ["attributeProto", 11, "AttributeProto", "repeated"],
    ["node", 7, "NodeProto", "repeated"],
    ["docString", 8, "string"],
    ["opsetImport", 9, "OperatorSetIdProto", "repeated"],
    ["domain", 10, "string"],
    ["overload", 13, "string"],
    ["valueInfo", 12, "ValueInfoProto", "repeated"],
    ["metadataProps", 14, "StringStringEntryProto", "repeated"],
  ],
};

function toDescriptor(rows: readonly FieldRow[]): protobuf.IType {
  const fields: Record<string, protobuf.IField> = {};
  for (const [name, id, type, rule] of rows) {
    fields[name] = rule === undefined ? { id, type } : { id, type, rule };
  }
  return { edition: "proto2", fields };
}

const root = protobuf.Root.fromJSON({
  nested: {
    onnx: {
      nested: Object.fromEntries(Object.entries(messages).map(([name, rows]) => [name, toDescriptor(rows)])),
    },
  },
});

/**
 * protobufjs puts each field's default on the message's prototype, so that an absent submessage reads as null and an absent
 * integer as 0. Without them an absent field reads as undefined, as the types in onnx-proto.ts say.
 */
function withoutPrototypeDefaults(name: string): void {
  const type = root.lookupType(`onnx.${name}`);
  for (const field of type.fieldsArray) Reflect.deleteProperty(type.ctor.prototype as object, field.name);
}

Object.keys(messages).forEach(withoutPrototypeDefaults);

/** The reflected `ModelProto`; its plain-object types are in onnx-proto.ts. */
export const modelProtoType = root.lookupType("onnx.ModelProto");
