import { fromFloat16 } from "@trommel/common/codec";
import { elementTypeCodes, int64ToNumber, type TensorProto } from "./onnx-proto.js";

const halfOf = (bits: number): number => fromFloat16(Uint16Array.of(bits))[0] ?? NaN;

type ReadAt = (view: DataView, at: number) => number;

/** Little-endian elements of `rawData`, by element type. */
const rawElements: ReadonlyMap<number, readonly [bytes: number, read: ReadAt]> = new Map([
  [elementTypeCodes.float32, [4, (view, at) => view.getFloat32(at, true)]],
  [elementTypeCodes.float64, [8, (view, at) => view.getFloat64(at, true)]],
  [elementTypeCodes.float16, [2, (view, at) => halfOf(view.getUint16(at, true))]],
  [elementTypeCodes.int32, [4, (view, at) => view.getInt32(at, true)]],
  [elementTypeCodes.int64, [8, (view, at) => Number(view.getBigInt64(at, true))]],
] as const satisfies readonly (readonly [number, readonly [number, ReadAt]])[]);

/**
 * The values of a floating-point or integer tensor, in whichever field its exporter wrote them.
 * @returns undefined for other element types, and if the bytes do not fit the shape
 */
export function tensorNumbers(tensor: TensorProto): readonly number[] | undefined {
  const { dataType = 0, rawData } = tensor;
  const count = (tensor.dims ?? []).reduce((product: number, dim) => product * int64ToNumber(dim), 1);
  const values = rawData === undefined ? listed(tensor) : fixedWidth(dataType, rawData);
  return values?.length === count ? values : undefined;
}

/** float16 is listed as the bit patterns, one varint each (onnx.proto, TensorProto.int32_data). */
function listed({ dataType, floatData, doubleData, int32Data, int64Data }: TensorProto) {
  const { float16, float32, float64, int32, int64 } = elementTypeCodes;
  switch (dataType) {
    case float32:
      return fixedWidth(float32, Buffer.concat(floatData ?? []));
    case float64:
      return fixedWidth(float64, Buffer.concat(doubleData ?? []));
    case float16:
      return varints(int32Data).map(halfOf);
    case int32:
      return varints(int32Data);
    case int64:
      return varints(int64Data);
    default:
      return undefined;
  }
}

function fixedWidth(dataType: number, bytes: Uint8Array): readonly number[] | undefined {
  const [width, read] = rawElements.get(dataType) ?? [];
  if (width === undefined || read === undefined || bytes.byteLength % width !== 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / width }, (_, i) => read(view, i * width));
}

function varints(chunks: readonly Uint8Array[] = []): readonly number[] {
  const values: number[] = [];
  let [value, shift] = [0n, 0n];
  for (const byte of Buffer.concat(chunks)) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (byte >= 0x80) continue;
    values.push(Number(BigInt.asIntN(64, value)));
    [value, shift] = [0n, 0n];
  }
  return values;
}
