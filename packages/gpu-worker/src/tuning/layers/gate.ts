import { SeededRandom, seedFrom } from "@trommel/common";
import type { TuneRecipe } from "@trommel/common/recipe";
import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import type { CutLayers } from "../../backbone/layers/cut-layers.js";
import type { LayersWeight } from "../../backbone/layers/layers-weights.js";

type GateRecipe = NonNullable<TuneRecipe["gate"]>;

/** A network that ends with a gate. */
interface GatedNetwork {
  readonly cut: CutLayers;
  /** Names of the gate's layers with weights. */
  readonly gateLayers: readonly string[];
}

/**
 * Adds squeeze-and-excitation (Hu et al. 2018) of the embedding x: x · sigmoid(W₂ · relu(W₁ · x + b₁) + b₂). A gate is one factor for a
 * whole channel: on the average of a map it is the same as on the map before the average. Its kernels begin uniform by Glorot & Bengio
 * (2010) and its biases at 0, as Keras's do, so that every factor is near one half.
 * @param cut ends with a vector of `dimension`
 */
export function withGate(
  cut: CutLayers,
  { reduction }: GateRecipe,
  { dimension, seed }: { readonly dimension: number; readonly seed: number },
): GatedNetwork {
  const width = widthOf(reduction, dimension);
  const nameOf = freeNames(cut);
  const squeeze = dense(
    nameOf("squeeze"),
    cut.output,
    { activation: "relu", shape: [dimension, width] },
    seed,
  );
  const excite = dense(
    nameOf("excite"),
    squeeze.name,
    { activation: "sigmoid", shape: [width, dimension] },
    seed,
  );
  const gated = layerOf(nameOf("gated"), "Multiply", [cut.output, excite.name]);
  return {
    cut: { ...cut, layers: [...cut.layers, squeeze, excite, gated], output: gated.name },
    gateLayers: [squeeze.name, excite.name],
  };
}

/** The width of the gate's hidden layer, as in a head of type `se`. */
const widthOf = (reduction: number, dimension: number): number => Math.ceil(dimension / reduction);

export function gateParameterCount({ reduction }: GateRecipe, dimension: number): number {
  const width = widthOf(reduction, dimension);
  return 2 * dimension * width + width + dimension;
}

/** What a gate multiplies the embedding by before its first step, about. */
export const firstGateFactor = 0.5;

/** With a number if the network was tuned with a gate before. */
function freeNames({ layers }: CutLayers): (stem: string) => string {
  const taken = new Set(layers.map(({ name }) => name));
  return (stem) => {
    let name = `gate_${stem}`;
    for (let count = 2; taken.has(name); count += 1) name = `gate_${stem}_${count}`;
    return name;
  };
}

function layerOf(
  name: string,
  className: string,
  inputs: readonly string[],
  config: Readonly<Record<string, unknown>> = {},
  weights: ReadonlyMap<string, LayersWeight> = new Map(),
): BoundLayer {
  return { name, className, config: { name, ...config }, inputs, weightPaths: [name], weights };
}

function dense(
  name: string,
  input: string,
  {
    activation,
    shape,
  }: { readonly activation: string; readonly shape: readonly [inputs: number, units: number] },
  seed: number,
): BoundLayer {
  const [inputs, units] = shape;
  const random = new SeededRandom(seedFrom(seed, "gate", name));
  const limit = Math.sqrt(6 / (inputs + units));
  const kernel = Float32Array.from({ length: inputs * units }, () => random.uniform(-limit, limit));
  const config = { units, activation, use_bias: true };
  const weights = new Map([
    ["kernel", floats(`${name}/kernel`, shape, kernel)],
    ["bias", floats(`${name}/bias`, [units], new Float32Array(units))],
  ]);
  return layerOf(name, "Dense", [input], config, weights);
}

function floats(name: string, shape: readonly number[], { buffer, byteLength }: Float32Array): LayersWeight {
  return { name, shape: [...shape], dtype: "float32", bytes: new Uint8Array(buffer, 0, byteLength) };
}
