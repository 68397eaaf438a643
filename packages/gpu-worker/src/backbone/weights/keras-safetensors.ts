import { TrommelError } from "@trommel/common";
import { decodeSafetensors, fromFloat16, type Tensor, type TensorDtype } from "@trommel/common/codec";
import type { FileWeight, WeightFile } from "./weight-file.js";
import { weightName } from "./weight-names.js";

const dtypeNames: Partial<Record<TensorDtype, string>> = { F16: "float16", F32: "float32", F64: "float64" };

/** Recognises eight bytes of header length, followed by the header, a JSON object. */
export function isSafetensors(bytes: Uint8Array): boolean {
  if (bytes.byteLength < 10 || bytes[8] !== 0x7b) return false;
  const headerBytes = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  return headerBytes <= BigInt(bytes.byteLength - 8);
}

/**
 * Opens a safetensors file whose tensors have Keras's names of weights: `conv1/kernel`, also `conv1/kernel:0` and
 * `conv1/conv1/kernel:0`. The format does not keep the order of layers.
 * @throws TrommelError `corrupt`, `unsupported` for an unknown dtype
 */
export function openKerasSafetensors(bytes: Uint8Array, url: string): WeightFile {
  const { tensors } = decodeSafetensors(bytes, { name: url });
  const weights = Object.entries(tensors).map(([path, tensor]): FileWeight => {
    const owner = path.split("/").slice(0, -1);
    return {
      layer: owner.at(-1) ?? "",
      name: weightName(path),
      path,
      shape: tensor.shape,
      dtype: dtypeNames[tensor.dtype] ?? tensor.dtype,
    };
  });
  const read = (wanted: readonly FileWeight[]): Promise<Float32Array[]> =>
    Promise.resolve(wanted.map(({ path }) => floats(tensors[path], path, url)));
  return { url, weights, ordered: false, read, close: () => Promise.resolve() };
}

function floats(tensor: Tensor | undefined, path: string, url: string): Float32Array {
  if (tensor?.dtype === "F32") return tensor.data.slice();
  if (tensor?.dtype === "F16") return fromFloat16(tensor.data);
  if (tensor?.dtype === "F64") return Float32Array.from(tensor.data);
  throw new TrommelError(
    "unsupported",
    `cannot read ${url}: the tensor ${path} has the dtype ${tensor?.dtype ?? "none"} (legal: F16, F32, F64)`,
  );
}
