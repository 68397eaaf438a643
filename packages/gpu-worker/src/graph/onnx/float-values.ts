import { TrommelError } from "@trommel/common";
import { elementTypeCodes, int64ToNumber, type TensorProto } from "./onnx-proto.js";

/**
 * The numbers of a float32 tensor, as a copy: exporters write them as raw bytes or as a packed list.
 * @throws TrommelError `internal` for a tensor of another type, `corrupt` where numbers are missing
 */
export function floatValues(tensor: TensorProto): Float32Array {
  if (tensor.dataType !== elementTypeCodes.float32) {
    throw new TrommelError("internal", `failed to read the tensor ${tensor.name ?? ""}: it is not float32.`);
  }
  const bytes = tensor.rawData ?? Buffer.concat(tensor.floatData ?? []);
  const count = (tensor.dims ?? []).reduce((product: number, dim) => product * int64ToNumber(dim), 1);
  if (bytes.byteLength !== count * 4) {
    throw new TrommelError(
      "corrupt",
      `failed to read the tensor ${tensor.name ?? ""}: it has ${bytes.byteLength} bytes, and its shape needs ${count * 4}. Export the model again.`,
    );
  }
  // Copied, for the bytes of a decoded model stand at any offset.
  return new Float32Array(Uint8Array.from(bytes).buffer);
}
