import { exportAdvice, type Container } from "./container.js";
import { zipNames } from "./zip-names.js";

/** Names what a zip file holds: several formats are zip files under another ending. */
export function zipContainer(bytes: Uint8Array): Container {
  const names = zipNames(bytes);
  if (names === undefined) {
    return {
      what: "a zip file without its end, so it was cut",
      advice: "Download it again, unpack it, and import the ONNX file or model.json in it",
    };
  }
  const has = (pattern: RegExp): string | undefined => names.find((name) => pattern.test(name));
  if (has(/^config\.json$/) !== undefined && has(/^model\.weights\.h5$|^metadata\.json$/) !== undefined)
    return { what: "a .keras archive (Keras 3)", advice: exportAdvice.keras };
  if (has(/(^|\/)data\.pkl$/) !== undefined) {
    const isScript = has(/(^|\/)constants\.pkl$/) !== undefined;
    return {
      what: `a PyTorch file (${isScript ? "TorchScript" : "a pickle in a zip"})`,
      advice: exportAdvice.torch,
    };
  }
  if (has(/serialized_exported_program|^archive_format$|\/archive_format$/) !== undefined)
    return { what: "a program of torch.export (.pt2)", advice: exportAdvice.torch };
  if (has(/(^|\/)com\.apple\.CoreML\//) !== undefined)
    return { what: "a Core ML package", advice: "Export the network that it was made from to ONNX" };
  if (names.length > 0 && names.every((name) => name.endsWith(".npy")))
    return {
      what: "a NumPy archive (.npz)",
      advice: "Export the whole network to ONNX: an archive of arrays has no layers",
    };
  const model = has(/\.onnx$/i) ?? has(/(^|\/)model\.json$/) ?? has(/\.h5$/i);
  if (model !== undefined)
    return { what: `a zip file that holds ${model}`, advice: `Unpack it and import ${model}` };
  if (has(/(^|\/)saved_model\.pb$/) !== undefined)
    return { what: "a zip file that holds a TensorFlow SavedModel", advice: exportAdvice.tensorflow };
  const listed = names.slice(0, 5).join(", ");
  return {
    what: `a zip file${names.length === 0 ? " that holds nothing" : ` that holds ${listed}${names.length > 5 ? ", …" : ""}`}`,
    advice: "Unpack it and import an ONNX file or the model.json of a layers model",
  };
}
