import { decodeSafetensors, encodeSafetensors, requireTensor } from "../../codec/safetensors.js";
import { TrommelError } from "../../errors.js";

/** Sums over rows of embeddings, in float64. Those of disjoint rows add up. */
export interface Moments {
  readonly rowCount: number;
  /** [dimension] */
  readonly sum: Float64Array;
  /** [dimension] */
  readonly squareSum: Float64Array;
}

/** z = (x − mean) · scale, for every dimension. */
export interface Standardization {
  /** [dimension] */
  readonly mean: Float32Array;
  /** [dimension]: one over the deviation; 0 for a dimension that is constant. */
  readonly scale: Float32Array;
}

export function encodeMoments({ rowCount, sum, squareSum }: Moments): Uint8Array {
  const shape = [sum.length];
  return encodeSafetensors({
    tensors: {
      sum: { dtype: "F64", shape, data: sum },
      square_sum: { dtype: "F64", shape, data: squareSum },
    },
    metadata: { rows: String(rowCount) },
  });
}

export function decodeMoments(bytes: Uint8Array, name: string): Moments {
  const file = decodeSafetensors(bytes, { name });
  const sum = requireTensor(file, "sum", "F64", 1).data;
  const squareSum = requireTensor(file, "square_sum", "F64", 1).data;
  const rowCount = Number(file.metadata["rows"]);
  if (squareSum.length === sum.length && Number.isSafeInteger(rowCount) && rowCount >= 0)
    return { rowCount, sum, squareSum };
  throw new TrommelError(
    "corrupt",
    `cannot read the moments ${name}: their shapes or their row count do not fit`,
  );
}

export function encodeStandardization({ mean, scale }: Standardization): Uint8Array {
  const shape = [mean.length];
  return encodeSafetensors({
    tensors: { mean: { dtype: "F32", shape, data: mean }, scale: { dtype: "F32", shape, data: scale } },
  });
}

export function decodeStandardization(bytes: Uint8Array, name: string): Standardization {
  const file = decodeSafetensors(bytes, { name });
  const mean = requireTensor(file, "mean", "F32", 1).data;
  const scale = requireTensor(file, "scale", "F32", 1).data;
  if (mean.length === scale.length) return { mean, scale };
  throw new TrommelError("corrupt", `cannot read the standardization ${name}: its shapes do not fit`);
}
