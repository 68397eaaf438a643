import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { TrommelError } from "@trommel/common";
import { exportAdvice } from "../containers/container.js";

/** For a folder, by what is in it; for a pipe or a device, whose reading might never end. */
export async function notAFile(path: string): Promise<TrommelError> {
  const names = await readdir(path).catch((): string[] => []);
  if (names.includes("saved_model.pb") || names.includes("saved_model.pbtxt")) {
    return new TrommelError(
      "unsupported",
      `cannot import ${path}: it is a TensorFlow SavedModel. ${exportAdvice.tensorflow}`,
    );
  }
  const models = names.filter((name) => name === "model.json" || /\.(onnx|h5)$/i.test(name));
  const onnxFolder = models.length === 0 && names.includes("onnx") ? "onnx" : undefined;
  const [first = onnxFolder] = models;
  const advice =
    first === undefined
      ? "Name the model.json or the ONNX file in it"
      : `Name a file in it, such as ${join(path, first)}${first === onnxFolder ? "/model.onnx" : ""}`;
  return new TrommelError(
    "invalid-argument",
    `cannot read ${path}: it is a folder or not a regular file. ${advice}`,
  );
}
