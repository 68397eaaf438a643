import { z } from "zod";
import { TrommelError } from "@trommel/common";

/** Reads a file that `model.json` names, by its path relative to it. */
export type ReadFile = (relativePath: string) => Promise<Uint8Array>;

const quantization = z.union([
  z.object({ dtype: z.literal("float16") }),
  z.object({ dtype: z.enum(["uint8", "uint16"]), scale: z.number(), min: z.number() }),
]);

const weightSpec = z.object({
  name: z.string(),
  shape: z.array(z.int().nonnegative()),
  dtype: z.enum(["float32", "float16", "int32", "uint8", "bool"]),
  quantization: quantization.optional(),
});
type WeightSpec = z.infer<typeof weightSpec>;

/** The `weightsManifest` of TensorFlow.js: groups, each a sequence of bytes split into files. */
export const weightsManifest = z.array(
  z.object({ paths: z.array(z.string()).min(1), weights: z.array(weightSpec) }),
);
export type WeightsManifest = z.infer<typeof weightsManifest>;

/** One weight in its stored form; {@link weightValues} converts it to float32. */
export interface LayersWeight extends WeightSpec {
  readonly bytes: Uint8Array;
}

const itemBytes = { float32: 4, float16: 2, int32: 4, uint16: 2, uint8: 1, bool: 1 } as const;

/**
 * Reads every weight file.
 * @throws TrommelError `corrupt`, naming the file, if its length differs from the manifest
 */
export async function readWeights(
  manifest: WeightsManifest,
  readFile: ReadFile,
): Promise<ReadonlyMap<string, LayersWeight>> {
  const weights = new Map<string, LayersWeight>();
  for (const group of manifest) {
    const files: Uint8Array[] = [];
    for (const path of group.paths) files.push(await readFile(checkedPath(path)));
    const bytes = files.length === 1 && files[0] !== undefined ? files[0] : Buffer.concat(files);
    const expected = group.weights.reduce((sum, spec) => sum + storedBytes(spec), 0);
    if (bytes.byteLength !== expected) {
      throw corrupt(`${group.paths.join(", ")}: ${bytes.byteLength} bytes, the manifest states ${expected}`);
    }
    let offset = 0;
    for (const spec of group.weights) {
      const end = offset + storedBytes(spec);
      if (weights.has(spec.name)) throw corrupt(`model.json: weight ${spec.name} is listed twice`);
      weights.set(spec.name, { ...spec, bytes: bytes.subarray(offset, end) });
      offset = end;
    }
  }
  return weights;
}

/** The weight's values in float32, dequantised as TensorFlow.js does: stored · scale + min. */
export function weightValues(weight: LayersWeight): Float32Array {
  const { bytes } = weight;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(elementCount(weight));
  const { quantization: packed } = weight;
  const stored = packed?.dtype ?? weight.dtype;
  const read = readers[stored];
  const scale = packed !== undefined && "scale" in packed ? packed.scale : 1;
  const min = packed !== undefined && "min" in packed ? packed.min : 0;
  const round = packed !== undefined && weight.dtype === "int32";
  for (let index = 0; index < values.length; index++) {
    const value = read(view, index * itemBytes[stored]) * scale + min;
    values[index] = round ? Math.round(value) : value;
  }
  return values;
}

const readers: Readonly<Record<keyof typeof itemBytes, (view: DataView, offset: number) => number>> = {
  float32: (view, offset) => view.getFloat32(offset, true),
  float16: (view, offset) => halfToNumber(view.getUint16(offset, true)),
  int32: (view, offset) => view.getInt32(offset, true),
  uint16: (view, offset) => view.getUint16(offset, true),
  uint8: (view, offset) => view.getUint8(offset),
  bool: (view, offset) => view.getUint8(offset),
};

/** IEEE 754 binary16. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function elementCount(spec: WeightSpec): number {
  return spec.shape.reduce((product, dim) => product * dim, 1);
}

function storedBytes(spec: WeightSpec): number {
  return elementCount(spec) * itemBytes[spec.quantization?.dtype ?? spec.dtype];
}

/** A weight file is in the folder of model.json or below; a model must not name any other place. */
function checkedPath(path: string): string {
  const segments = path.split("/");
  const escapes = segments.some((segment) => segment === "" || segment === "." || segment === "..");
  if (escapes || path.includes("\\") || path.includes(":") || path.includes("\0")) {
    throw corrupt(`model.json: the weight file path "${path}" is not a plain relative path`);
  }
  return path;
}

function corrupt(what: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read the layers model: ${what}. Fetch its files again, all from one conversion`,
  );
}
