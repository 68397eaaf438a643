import type { GraphBuilder } from "./graph-builder.js";

/** @returns a constant of whole numbers, as shapes and indices are given */
export function int64s(builder: GraphBuilder, values: readonly number[]): string {
  return builder.constant("int64s", "int64", [values.length], BigInt64Array.from(values, BigInt));
}

/** @param shape 0 keeps a dimension, -1 takes what is left, as ONNX has it */
export function reshape(builder: GraphBuilder, value: string, shape: readonly number[]): string {
  return builder.node("Reshape", [value, int64s(builder, shape)]);
}
