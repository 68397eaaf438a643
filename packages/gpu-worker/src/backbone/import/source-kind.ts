import { TrommelError } from "@trommel/common";
import { looksLikeJson } from "../layers/json-text.js";
import { isHdf5 } from "../weights/keras-h5.js";
import { isSafetensors } from "../weights/keras-safetensors.js";
import { architectureNames } from "../zoo/architectures.js";

export type SourceKind = "h5" | "safetensors" | "layers" | "onnx";

const words: Readonly<Record<SourceKind, string>> = {
  h5: "a Keras HDF5 file",
  safetensors: "a safetensors file",
  layers: "a layers model",
  onnx: "an ONNX model, or an unknown format",
};

/** Detects the kind of a file from its first bytes; the ONNX reader checks whatever matches no other kind. */
export function sourceKind(bytes: Uint8Array): SourceKind {
  if (isHdf5(bytes)) return "h5";
  if (isSafetensors(bytes)) return "safetensors";
  return looksLikeJson(bytes) ? "layers" : "onnx";
}

/**
 * Files of weights need an architecture; complete networks must not have one.
 * @throws TrommelError `invalid-argument`
 */
export function checkArchitecture(kind: SourceKind, architecture: string | undefined, url: string): void {
  const isWeights = kind === "h5" || kind === "safetensors";
  if (isWeights && architecture === undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot import ${url}: it is ${words[kind]}, and its weights need an architecture. ` +
        `Add --arch: ${architectureNames.join(", ")}`,
    );
  }
  if (!isWeights && architecture !== undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot import ${url} with --arch ${architecture}: by its first bytes it is ${words[kind]}, and --arch is only ` +
        "for files of Keras weights (.h5, .safetensors). Import a complete network without --arch",
    );
  }
}
