import { TrommelError, type NamedTensor } from "@trommel/common";
import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import type { CutLayers } from "../../backbone/layers/cut-layers.js";
import { weightValues, type LayersWeight } from "../../backbone/layers/layers-weights.js";
import { channelsOf, groupEpsilon, groupsOf, isStatistic } from "../layers/trained-weights.js";
import { classifierLayer, stateNames, tunedTensors } from "./tuned-tensors.js";
import type { TuningSetting, TuningState } from "./tuner.js";

/** A linear classifier on the embedding. */
export interface Classifier {
  /** [dimension, classes] */
  readonly kernel: Float32Array;
  /** [classes] */
  readonly bias: Float32Array;
}

/**
 * The state before the first step: the layers' own weights, the given classifier, empty moments. Group normalisations begin with
 * scale and shift of the batch normalisations that they replace.
 */
export function initialState(setting: TuningSetting, classifier: Classifier): TuningState {
  const { cut, classCount } = setting;
  const dimension = classifier.kernel.length / classCount;
  const layers = new Map(cut.layers.map((layer) => [layer.name, layer]));
  const tensors = new Map<string, NamedTensor>();
  for (const tensor of tunedTensors(setting, dimension)) {
    const shape = tensor.kerasShape;
    const weight = tensor.name.slice(tensor.layer.length + 1);
    const own =
      tensor.layer === classifierLayer
        ? classifier[weight as "kernel" | "bias"]
        : weightOf(layers, tensor.layer, weight);
    for (const name of stateNames(setting, tensor)) {
      const data = name.startsWith("moments/") ? new Float32Array(own.length) : own.slice();
      tensors.set(name, { shape, data });
    }
  }
  return { step: 0, tensors };
}

/** @throws TrommelError `corrupt` if the state is of another network or tuning */
export function stateValues({ tensors }: TuningState, name: string, shape: readonly number[]): Float32Array {
  const tensor = tensors.get(name);
  const fits =
    tensor?.shape.length === shape.length && tensor.shape.every((size, axis) => size === shape[axis]);
  if (tensor !== undefined && fits) return tensor.data;
  throw new TrommelError(
    "corrupt",
    `cannot continue a tuning: its state has no ${name} of [${shape.join(", ")}]. It is a checkpoint of another recipe or backbone`,
    { context: { tensor: name } },
  );
}

/**
 * The layers with a state's weights, of which serving is compiled: with their average where the tuning keeps one, and the
 * running statistics.
 */
export function tunedLayers(setting: TuningSetting, { tensors }: TuningState): CutLayers {
  const { cut, trained, norm, averageDecay } = setting;
  const layers = cut.layers.map((layer): BoundLayer => {
    if (!trained.has(layer.name)) return layer;
    const weights = new Map<string, LayersWeight>();
    for (const [name, weight] of layer.weights) {
      const kind = averageDecay === null || isStatistic(name) ? "weights" : "average";
      const found = tensors.get(`${kind}/${layer.name}/${name}`);
      if (found !== undefined) weights.set(name, floatWeight(weight.name, found));
      else if (layer.className !== "BatchNormalization" || norm === "frozen") weights.set(name, weight);
    }
    if (layer.className !== "BatchNormalization" || norm !== "group") return { ...layer, weights };
    const config = { axis: -1, groups: groupsOf(channelsOf(layer)), epsilon: groupEpsilon };
    return { ...layer, className: "GroupNormalization", config, weights };
  });
  return { ...cut, layers, input: layers[0] as BoundLayer };
}

/** The classifier as a state has it. */
export function classifierOf({ tensors }: TuningState, averageDecay: number | null): Classifier {
  const kind = averageDecay === null ? "weights" : "average";
  const part = (name: string): Float32Array =>
    tensors.get(`${kind}/${classifierLayer}/${name}`)?.data as Float32Array;
  return { kernel: part("kernel"), bias: part("bias") };
}

function floatWeight(name: string, { shape, data }: NamedTensor): LayersWeight {
  const values = data;
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { name, shape: [...shape], dtype: "float32", bytes };
}

function weightOf(layers: ReadonlyMap<string, BoundLayer>, layer: string, name: string): Float32Array {
  const weight = layers.get(layer)?.weights.get(name);
  if (weight !== undefined) return weightValues(weight);
  throw new TrommelError("internal", `cannot tune: the layer ${layer} has no weight ${name}`);
}
