import type { BoundLayer } from "./bound-layer.js";
import type { LayersModel } from "./layers-model.js";

/** Embeddings are wider than this. The logits of a classifier of ImageNet, with 1,000 classes, can serve as one. */
const classesAtMost = 50;

/** Layers that may follow the last dense one and keep its width. */
const narrow = new Set(["Activation", "Softmax", "Dropout", "Flatten"]);

/** The end of a network that tells few classes apart, or gives probabilities, as far as its layers show it. */
export interface ClassifierEnd {
  readonly output: string;
  readonly units: number;
  /** Whether a softmax makes them probabilities. */
  readonly isSoftmax: boolean;
  /** The layer before the dense one. */
  readonly before: string;
}

/** @returns undefined if the model's only output does not look like a classifier's */
export function classifierEnd({ layers, outputs }: LayersModel): ClassifierEnd | undefined {
  const [output] = outputs;
  let layer = output === undefined ? undefined : layers.get(output);
  let isSoftmax = false;
  while (layer !== undefined && narrow.has(layer.className)) {
    isSoftmax ||= endsInSoftmax(layer);
    layer = layers.get(layer.inputs[0] ?? "");
  }
  isSoftmax ||= layer !== undefined && endsInSoftmax(layer);
  const units = layer?.className === "Dense" ? layer.weights.get("kernel")?.shape[1] : undefined;
  const before = layer?.inputs[0];
  if (output === undefined || outputs.length !== 1 || before === undefined) return undefined;
  if (units === undefined || (units > classesAtMost && !isSoftmax)) return undefined;
  return { output, units, isSoftmax, before };
}

function endsInSoftmax({ className, config }: BoundLayer): boolean {
  return className === "Softmax" || config["activation"] === "softmax";
}
