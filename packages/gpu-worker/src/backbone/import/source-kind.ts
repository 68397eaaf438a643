import { TrommelError } from "@trommel/common";
import { isHdf5 } from "../weights/keras-h5.js";
import { isSafetensors } from "../weights/keras-safetensors.js";
import { architectureNames } from "../zoo/architectures.js";

export type SourceKind = "h5" | "safetensors" | "layers" | "onnx";

const words: Readonly<Record<SourceKind, string>> = {
  h5: "a Keras HDF5 file",
  safetensors: "a safetensors file",
  layers: "a layers model",
  onnx: "an ONNX model, or something that is not known",
};

/** What a file is, by how it begins; whatever begins like none of the others is left to the ONNX reader. */
export function sourceKind(bytes: Uint8Array): SourceKind {
  if (isHdf5(bytes)) return "h5";
  if (isSafetensors(bytes)) return "safetensors";
  const start = Buffer.from(bytes.subarray(0, 64))
    .toString("utf8")
    .replace(/^\uFEFF/, "")
    .trimStart();
  return start.startsWith("{") ? "layers" : "onnx";
}

/**
 * Files of weights need an architecture, and whole networks bring their own.
 * @throws TrommelError `invalid-argument`
 */
export function checkArchitecture(kind: SourceKind, architecture: string | undefined, url: string): void {
  const isWeights = kind === "h5" || kind === "safetensors";
  if (isWeights && architecture === undefined) {
    throw new TrommelError(
      "invalid-argument",
      `failed to import ${url}: it is ${words[kind]}, and its weights need an architecture. ` +
        `Give --arch: ${architectureNames.join(", ")}.`,
    );
  }
  if (!isWeights && architecture !== undefined) {
    throw new TrommelError(
      "invalid-argument",
      `failed to import ${url} with --arch ${architecture}: by its first bytes it is ${words[kind]}, and --arch is ` +
        "for files of Keras weights (.h5, .safetensors). A network that brings its own layers is imported without.",
    );
  }
}
