import { momentKinds } from "../../head/compiled/emit-optimizer.js";
import { nativeWeight, type NativeWeight } from "../layers/native-weights.js";
import { trainedWeights } from "../layers/trained-weights.js";
import type { TuningSetting } from "./tuner.js";

/** The layer that makes logits of the embedding. */
export const classifierLayer = "classifier";

/** A tensor that steps change: by its gradient, or by what a batch measures. */
export interface TunedTensor extends Pick<NativeWeight, "kerasShape" | "shape" | "toNative" | "toKeras"> {
  readonly layer: string;
  /** `<layer>/<weight>` */
  readonly name: string;
  readonly isMeasured: boolean;
  readonly isKernel: boolean;
}

/** In the order of the layers, the classifier last. */
export function tunedTensors(setting: TuningSetting, dimension: number): readonly TunedTensor[] {
  const { cut, trained, norm, classCount } = setting;
  const ofLayers = cut.layers
    .filter(({ name }) => trained.has(name))
    .flatMap((layer): TunedTensor[] => {
      const { byGradient, measured } = trainedWeights(layer, norm);
      return [...byGradient, ...measured].map((name) => ({
        ...nativeWeight(layer, name),
        layer: layer.name,
        name: `${layer.name}/${name}`,
        isMeasured: measured.includes(name),
        isKernel: name.endsWith("kernel"),
      }));
    });
  const asItIs = (values: Float32Array): Float32Array => values;
  const ofClassifier = [
    { name: "kernel", shape: [dimension, classCount] },
    { name: "bias", shape: [classCount] },
  ].map(({ name, shape }): TunedTensor => ({
    layer: classifierLayer,
    name: `${classifierLayer}/${name}`,
    ...{ kerasShape: shape, shape, toNative: asItIs, toKeras: asItIs },
    isMeasured: false,
    isKernel: name === "kernel",
  }));
  return [...ofLayers, ...ofClassifier];
}

/** The names under which a tensor's values are in a state. Running statistics are averages already, and have no other. */
export function stateNames(setting: TuningSetting, { name, isMeasured }: TunedTensor): readonly string[] {
  const own = `weights/${name}`;
  if (isMeasured) return [own];
  const moments = momentKinds(setting.optimizer).map((kind) => `moments/${kind}/${name}`);
  return [own, ...moments, ...(setting.averageDecay === null ? [] : [`average/${name}`])];
}
