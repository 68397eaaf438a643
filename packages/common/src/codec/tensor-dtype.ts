/** The element types of safetensors files that Trommel reads and writes, by the format's own names. */

/** F16 is carried as its bit patterns: see float16.ts. */
export interface TensorArrays {
  readonly F64: Float64Array;
  readonly F32: Float32Array;
  readonly F16: Uint16Array;
  readonly I64: BigInt64Array;
  readonly I32: Int32Array;
  readonly I16: Int16Array;
  readonly I8: Int8Array;
  readonly U64: BigUint64Array;
  readonly U32: Uint32Array;
  readonly U16: Uint16Array;
  readonly U8: Uint8Array;
  readonly BOOL: Uint8Array;
}

export type TensorDtype = keyof TensorArrays;

export type Tensor = {
  readonly [Dtype in TensorDtype]: {
    readonly dtype: Dtype;
    readonly shape: readonly number[];
    /** Row-major; its length is the product of the shape. */
    readonly data: TensorArrays[Dtype];
  };
}[TensorDtype];

interface ArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TensorArrays[TensorDtype];
}

export const arrayTypes: Readonly<Record<TensorDtype, ArrayType>> = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

export function isTensorDtype(text: string): text is TensorDtype {
  return Object.hasOwn(arrayTypes, text);
}
