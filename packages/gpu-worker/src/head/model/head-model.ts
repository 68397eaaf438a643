import { SeededRandom, TrommelError, seedFrom, type HeadRecipe, type HeadWeights } from "@trommel/common";

/**
 * The heads: their weights and how these are initialised.
 *
 * | type | weights | logits of a row x |
 * |---|---|---|
 * | `se` | `squeeze`, `excite`, `output` | x · sigmoid(excite(activation(squeeze(x · noise)))) → dropout → output |
 * | `linear` | `output` | dropout(x) → output |
 * | `mlp` | `hidden1`, `hidden2`, …, `output` | [hidden → activation → dropout]… → output |
 *
 * Each layer has `<layer>.kernel` [inputs, outputs] and, except in a linear head without bias, `<layer>.bias` [outputs].
 * The gate of `se` is squeeze-and-excitation (Hu, Shen & Sun 2018) over features; its hidden width is
 * features / reduction, rounded up. Noise and dropout exist in training only.
 */
interface HeadLayer {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly bias: boolean;
}

export type HiddenLayer = `hidden${number}`;

/** Name of a hidden layer of an `mlp`. @param index from 0 */
export function hiddenLayer(index: number): HiddenLayer {
  return `hidden${index + 1}`;
}

/** The layers of a head in order of use. */
function headLayers(head: HeadRecipe, featureCount: number, classCount: number): HeadLayer[] {
  const layer = (name: string, inputs: number, outputs: number, bias = true) => ({
    name,
    inputs,
    outputs,
    bias,
  });
  switch (head.type) {
    case "se": {
      const width = Math.ceil(featureCount / head.reduction);
      return [
        layer("squeeze", featureCount, width),
        layer("excite", width, featureCount),
        layer("output", featureCount, classCount),
      ];
    }
    case "linear":
      return [layer("output", featureCount, classCount, head.bias)];
    case "mlp": {
      const widths = [featureCount, ...head.hidden];
      const hidden = head.hidden.map((width, i) => layer(hiddenLayer(i), widths[i] as number, width));
      return [...hidden, layer("output", widths.at(-1) as number, classCount)];
    }
  }
}

/**
 * Initial weights: biases zero; kernels uniform, for `se` by variance scaling (scale 1/3 over fan-out, as in the published
 * head), for the others by Glorot & Bengio (2010).
 */
export function initialWeights(
  head: HeadRecipe,
  featureCount: number,
  classCount: number,
  seed: number,
): HeadWeights {
  const weights: Record<string, HeadWeights[string]> = {};
  for (const { name, inputs, outputs, bias } of headLayers(head, featureCount, classCount)) {
    const random = new SeededRandom(seedFrom(seed, "head weights", name));
    const limit = head.type === "se" ? Math.sqrt(1 / outputs) : Math.sqrt(6 / (inputs + outputs));
    const data = Float32Array.from({ length: inputs * outputs }, () => random.uniform(-limit, limit));
    weights[`${name}.kernel`] = { shape: [inputs, outputs], data };
    if (bias) weights[`${name}.bias`] = { shape: [outputs], data: new Float32Array(outputs) };
  }
  return weights;
}

/** Lengths of a row and of its logits, read from the weights' shapes. */
export interface HeadSize {
  readonly featureCount: number;
  readonly classCount: number;
}

/**
 * Checks that the weights are those of the head, every name and shape, nothing more.
 * @throws TrommelError `corrupt` naming the first that is not
 */
export function checkHeadWeights(head: HeadRecipe, weights: HeadWeights): HeadSize {
  const first = head.type === "se" ? "squeeze" : head.type === "mlp" ? "hidden1" : "output";
  const featureCount = weights[`${first}.kernel`]?.shape[0] ?? 0;
  const classCount = weights["output.kernel"]?.shape[1] ?? 0;
  const expected = new Map<string, string>();
  for (const { name, inputs, outputs, bias } of headLayers(head, featureCount, classCount)) {
    expected.set(`${name}.kernel`, `${inputs},${outputs}`);
    if (bias) expected.set(`${name}.bias`, `${outputs}`);
  }
  for (const name of new Set([...expected.keys(), ...Object.keys(weights)])) {
    const found = weights[name];
    const shape = found?.shape.join(",");
    const size = found?.shape.reduce((product, dim) => product * dim, 1);
    if (shape === undefined || shape !== expected.get(name) || size !== found?.data.length) {
      throw new TrommelError(
        "corrupt",
        `cannot read a head of type ${head.type}: ${name} is ${shape === undefined ? "missing" : `[${shape}]`}, ` +
          `expected ${expected.has(name) ? `[${expected.get(name) ?? ""}]` : "no such tensor"}. Train the head again`,
      );
    }
  }
  return { featureCount, classCount };
}

/** Biases are what AdamW's decay leaves out; every other weight is a kernel. */
export function isBias(name: string): boolean {
  return name.endsWith(".bias");
}

/** The tensor of that name; checked weights have it. */
export function weightData(weights: HeadWeights, name: string): Float32Array {
  const tensor = weights[name];
  if (tensor === undefined) throw new TrommelError("internal", `cannot use a head: it has no tensor ${name}`);
  return tensor.data;
}
