import type { LayersModel } from "./layers-model.js";

/** Embeddings are wider than this. A classifier of ImageNet, with 1,000 classes, can serve as one. */
const classesAtMost = 50;

/** Layers that may follow the last dense one and keep its width. */
const narrow = new Set(["Activation", "Softmax", "Dropout", "Flatten"]);

/** The end of a network that tells few classes apart, as far as its layers show it. */
export interface ClassifierEnd {
  readonly output: string;
  readonly units: number;
  /** The layer before the dense one. */
  readonly before: string;
}

/** @returns undefined if the model's only output does not look like a classifier's */
export function classifierEnd({ layers, outputs }: LayersModel): ClassifierEnd | undefined {
  const [output] = outputs;
  let layer = output === undefined ? undefined : layers.get(output);
  while (layer !== undefined && narrow.has(layer.className)) layer = layers.get(layer.inputs[0] ?? "");
  const units = layer?.className === "Dense" ? layer.weights.get("kernel")?.shape[1] : undefined;
  const before = layer?.inputs[0];
  if (output === undefined || outputs.length !== 1 || before === undefined) return undefined;
  return units === undefined || units > classesAtMost ? undefined : { output, units, before };
}
