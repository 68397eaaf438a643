/** A file that is recognised and cannot be imported as it is. */
export interface Container {
  /** Follows "it is". */
  readonly what: string;
  /** A sentence that says what to do instead, without its full stop. */
  readonly advice: string;
}

export const exportAdvice = {
  keras:
    'Save the network in the form of Keras 2 and convert it with tensorflowjs_converter --output_format tfjs_layers_model, or export it to ONNX (model.export(path, format="onnx") in Keras 3, or tf2onnx)',
  tensorflow:
    "Export it to ONNX (python -m tf2onnx.convert --saved-model <folder> --output model.onnx) and import that",
  torch:
    "It holds weights, or code for Python alone. Export the network to ONNX (torch.onnx.export, or optimum-cli export onnx --model <name> <folder>) and import the model.onnx",
} as const;

export function startsWith(bytes: Uint8Array, signature: readonly number[]): boolean {
  return signature.every((byte, index) => bytes[index] === byte);
}
