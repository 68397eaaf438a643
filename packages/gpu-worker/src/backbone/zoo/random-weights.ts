import { SeededRandom, TrommelError, seedFrom } from "@trommel/common";
import type { ZooNetwork } from "./architectures.js";
import type { ZooWeight } from "./layer-stack.js";

interface TopologyLayer {
  readonly class_name: string;
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inbound_nodes: readonly (readonly (readonly [string, ...unknown[]])[])[];
}

/** The expected mean square of a layer's output, and the part of it that cannot be negative. */
interface Power {
  readonly whole: number;
  readonly positive: number;
}

/**
 * Deterministic random weights for a network whose own weights are not available: kernels of variance 1 / fan-in, and
 * normalisations whose four statistics all vary. To keep values of order one however deep the network is, the moving
 * statistics of each normalisation are drawn around the expected mean square of its input, which is propagated from layer to
 * layer: by the rule of He et al. (2015, https://arxiv.org/abs/1502.01852) for convolutions and ReLU, by rough constants for
 * the other layers.
 *
 * In functions that, unlike ReLU, are not proportional to their input, an error in that expectation grows from block to block.
 * So swish gets inputs of deviation 3, where it is nearly a ReLU, and the gates of squeeze-and-excitation vary little. Without
 * that EfficientNet-B7 amplified rounding 600,000 times; now no network of the zoo amplifies it 5 times.
 * @returns one array per weight, in the network's order; each follows from the network, the seed and its own two names
 */
export function randomWeights(network: ZooNetwork, seed: number): Float32Array[] {
  const { layers } = network.modelTopology["config"] as { layers: readonly TopologyLayer[] };
  const scales = weightScales(layers, network.inputScale ** 2);
  return network.weights.map((weight) => {
    const scale = scales.get(weight.layer);
    if (scale === undefined) throw unknownWeight(weight);
    const random = new SeededRandom(seedFrom("random weights", seed, weight.layer, weight.name));
    const [low, high] = range(weight, scale);
    const span = (high - low) / 2 ** 32;
    const values = new Float32Array(weight.shape.reduce((product, dim) => product * dim, 1));
    for (let index = 0; index < values.length; index++) values[index] = low + span * random.bits();
    return values;
  });
}

interface WeightScale {
  /** Expected mean square of the layer's input. */
  readonly inputPower: number;
  /** Factor for kernels, or for a normalisation's gamma and beta. */
  readonly share: number;
}

function weightScales(
  layers: readonly TopologyLayer[],
  imagePower: number,
): ReadonlyMap<string, WeightScale> {
  const outputs = new Map<string, Power>();
  const scales = new Map<string, WeightScale>();
  const readBySwish = new Set(
    layers.filter(({ config }) => config["activation"] === "swish").flatMap(inputNames),
  );
  for (const layer of layers) {
    const inputs = inputNames(layer).map((name) => outputs.get(name) ?? symmetric(NaN));
    const isGate = layer.config["activation"] === "sigmoid";
    const share = readBySwish.has(layer.name) ? 3 : isGate ? 0.2 : 1;
    const scale = { inputPower: inputs[0]?.whole ?? NaN, share };
    scales.set(layer.name, scale);
    outputs.set(layer.name, inputs.length === 0 ? symmetric(imagePower) : outputPower(layer, inputs, scale));
  }
  return scales;
}

function inputNames(layer: TopologyLayer): string[] {
  return (layer.inbound_nodes[0] ?? []).map(([name]) => name);
}

function symmetric(whole: number): Power {
  return { whole, positive: 0 };
}

function outputPower(layer: TopologyLayer, inputs: readonly Power[], { share }: WeightScale): Power {
  const first = inputs[0] ?? symmetric(NaN);
  const sum = (part: keyof Power): number => inputs.reduce((total, input) => total + input[part], 0);
  switch (layer.class_name) {
    case "BatchNormalization":
      // E[gamma²] · E[input²] / moving variance + E[beta²], for the ranges below.
      return symmetric(share ** 2 * (1.03 * 1.03 * 1.03 + 0.03));
    case "Conv2D":
    case "DepthwiseConv2D":
    case "SeparableConv2D":
      return activated(symmetric(first.whole), layer.config["activation"] ?? "linear");
    case "Activation":
      return activated(first, layer.config["activation"]);
    case "ReLU":
      return activated(first, "relu");
    case "Add":
      return { whole: sum("whole"), positive: sum("positive") };
    case "Multiply":
      return symmetric(inputs.reduce((product, { whole }) => product * whole, 1));
    case "Concatenate":
      return { whole: sum("whole") / inputs.length, positive: sum("positive") / inputs.length };
    default:
      // Padding, pooling, reshaping.
      return first;
  }
}

/** A ReLU halves the mean square of a symmetric distribution; for swish see randomWeights; a sigmoid stays near one half. */
function activated({ whole, positive }: Power, activation: unknown): Power {
  if (activation === "linear") return { whole, positive };
  if (activation === "swish") return symmetric(0.47 * whole);
  if (activation === "sigmoid") return { whole: 0.26, positive: 0.26 };
  const kept = activation === "relu" ? positive + (whole - positive) / 2 : NaN;
  return { whole: kept, positive: kept };
}

/** Uniform in ±√(3 / fan-in) has the variance 1 / fan-in. */
function range(
  { layer, name, shape }: ZooWeight,
  { inputPower, share }: WeightScale,
): readonly [low: number, high: number] {
  const [height = 1, width = 1, channels = 1] = shape;
  const around = (bound: number): [number, number] => [-bound, bound];
  switch (name) {
    case "kernel":
    case "pointwise_kernel":
      return around(share * Math.sqrt(3 / (height * width * channels)));
    case "depthwise_kernel":
      return around(Math.sqrt(3 / (height * width)));
    case "bias":
      return around(0.1);
    case "gamma":
      return [0.7 * share, 1.3 * share];
    case "beta":
      return around(0.3 * share);
    case "moving_mean":
      return around(0.3 * Math.sqrt(inputPower));
    case "moving_variance":
      return [0.7 * inputPower, 1.3 * inputPower];
    default:
      throw unknownWeight({ layer, name });
  }
}

function unknownWeight({ layer, name }: Pick<ZooWeight, "layer" | "name">): TrommelError {
  return new TrommelError("internal", `cannot draw ${layer}/${name}: it has no range`);
}
