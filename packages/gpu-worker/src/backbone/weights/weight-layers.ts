import { autoName, isKerasName } from "./weight-names.js";

/** An array of a layer: the common form of both sides of the matching. */
export interface NamedWeight {
  readonly layer: string;
  readonly name: string;
  readonly shape: readonly number[];
}

/** A layer with its weights in Keras's order. */
export interface WeightedLayer<W extends NamedWeight> {
  readonly name: string;
  readonly weights: readonly W[];
}

/** Layers in the order of their first weights. */
export function weightedLayers<W extends NamedWeight>(weights: readonly W[]): WeightedLayer<W>[] {
  const layers = new Map<string, W[]>();
  for (const weight of weights) {
    const known = layers.get(weight.layer);
    if (known === undefined) layers.set(weight.layer, [weight]);
    else known.push(weight);
  }
  return [...layers].map(([name, own]) => ({ name, weights: own }));
}

/**
 * Pairs the weights of two layers that are assumed to be the same: by name if the file's names are Keras's, otherwise by
 * order, as Keras itself loads them.
 * @returns the file's weights in the order of the architecture's, or undefined if the two do not fit
 */
export function pairLayer<W extends NamedWeight>(
  wanted: WeightedLayer<NamedWeight>,
  found: WeightedLayer<W>,
): readonly W[] | undefined {
  if (wanted.weights.length !== found.weights.length) return undefined;
  const known = found.weights.every(({ name }) => isKerasName(name));
  const pairs = wanted.weights.map((weight, index) =>
    known
      ? found.weights.find(({ name }) => name === weight.name || alias(wanted, weight, name))
      : found.weights[index],
  );
  const fits = pairs.every(
    (pair, index) => pair !== undefined && sameShape(pair.shape, wanted.weights[index]?.shape ?? []),
  );
  return fits ? (pairs as W[]) : undefined;
}

/** In Keras 3 the only kernel of a depthwise convolution is named `kernel`. */
function alias(layer: WeightedLayer<NamedWeight>, weight: NamedWeight, name: string): boolean {
  const kernels = layer.weights.filter((own) => own.name.endsWith("kernel"));
  return name === "kernel" && weight.name === "depthwise_kernel" && kernels.length === 1;
}

function sameShape(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((side, index) => side === right[index]);
}

/** Whether a layer's weights are those of a Dense layer, or of the 1×1 convolution that MobileNet classifies with. */
export function isClassifier({ name, weights }: WeightedLayer<NamedWeight>): boolean {
  const kernel = weights.find((weight) => weight.name === "kernel");
  const bias = weights.find((weight) => weight.name === "bias");
  if (kernel === undefined || weights.length !== (bias === undefined ? 1 : 2)) return false;
  const { shape } = kernel;
  const isDense = shape.length === 2;
  const isConvPreds = name === "conv_preds" && shape.length === 4 && shape[0] === 1 && shape[1] === 1;
  return (isDense || isConvPreds) && (bias === undefined || sameShape(bias.shape, shape.slice(-1)));
}

/** Automatically named layers by the stem of their names, in the order of creation. */
export function byStem<W extends NamedWeight>(
  layers: readonly WeightedLayer<W>[],
): ReadonlyMap<string, readonly WeightedLayer<W>[]> {
  const stems = new Map<string, { counter: number; layer: WeightedLayer<W> }[]>();
  for (const layer of layers) {
    const auto = autoName(layer.name);
    if (auto === undefined) continue;
    const known = stems.get(auto.stem) ?? [];
    known.push({ counter: auto.counter, layer });
    stems.set(auto.stem, known);
  }
  const sorted = [...stems].map(([stem, numbered]) => {
    numbered.sort((left, right) => left.counter - right.counter);
    return [stem, numbered.map(({ layer }) => layer)] as const;
  });
  return new Map(sorted);
}
