import { TrommelError } from "@trommel/common";
import { elementTypeCodes, type ModelProto, type TensorProto } from "../../graph/onnx/onnx-proto.js";

/**
 * Refuses weights that no training leaves behind. Infinities are legal in single numbers and in masks, whose other values are
 * all 0 or 1: attention adds them.
 * @param name the model in the message
 * @throws TrommelError `corrupt`, naming the tensor
 */
export function checkWeights(model: ModelProto, name: string): void {
  const constants = (model.graph?.node ?? []).flatMap(({ attribute, output }) =>
    (attribute ?? []).flatMap(({ t }) => (t === undefined ? [] : [{ ...t, name: output?.[0] ?? "" }])),
  );
  for (const tensor of [...(model.graph?.initializer ?? []), ...constants]) {
    const fault = faultOf(tensor);
    if (fault === undefined) continue;
    throw new TrommelError(
      "corrupt",
      `cannot import ${name}: its weight ${tensor.name ?? ""} contains ${fault}. Fetch the file again and compare its sha256; if it is the right one, the network's training diverged, or its conversion to half precision overflowed`,
      { context: { tensor: tensor.name ?? "" } },
    );
  }
}

function faultOf(tensor: TensorProto): string | undefined {
  const values = numbersOf(tensor);
  if (values === undefined) return undefined;
  let infinite = 0;
  let others = false;
  for (const value of values) {
    if (Number.isNaN(value)) return "NaN";
    if (value === Infinity || value === -Infinity) infinite += 1;
    else if (value !== 0 && value !== 1) others = true;
  }
  return infinite > 0 && values.length > 1 && others ? `${infinite} infinite values` : undefined;
}

/** Floating-point values; of float16 the bit patterns that are not finite, and zeros and others for the rest. */
function numbersOf({
  dataType,
  rawData,
  floatData,
  doubleData,
}: TensorProto): Float32Array | Float64Array | undefined {
  const aligned = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;
  switch (dataType) {
    case elementTypeCodes.float32: {
      const bytes = rawData ?? Buffer.concat(floatData ?? []);
      return bytes.byteLength % 4 === 0 ? new Float32Array(aligned(bytes)) : undefined;
    }
    case elementTypeCodes.float64: {
      const bytes = rawData ?? Buffer.concat(doubleData ?? []);
      return bytes.byteLength % 8 === 0 ? new Float64Array(aligned(bytes)) : undefined;
    }
    case elementTypeCodes.float16:
      return rawData === undefined || rawData.byteLength % 2 !== 0
        ? undefined
        : Float32Array.from(new Uint16Array(aligned(rawData)), halfClass);
    default:
      return undefined;
  }
}

/** The value as far as it matters here: NaN, an infinity, zero, one, or two for any other. */
function halfClass(bits: number): number {
  if ((bits & 0x7c00) === 0x7c00) return (bits & 0x3ff) === 0 ? Infinity : NaN;
  if ((bits & 0x7fff) === 0) return 0;
  return bits === 0x3c00 ? 1 : 2;
}
