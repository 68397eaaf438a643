import { SeededRandom, TrommelError, seedFrom } from "@trommel/common";
import type { ZooNetwork } from "./architectures.js";
import type { ZooWeight } from "./layer-stack.js";

interface TopologyLayer {
  readonly class_name: string;
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inbound_nodes: readonly (readonly (readonly [string, ...unknown[]])[])[];
}

/**
 * Deterministic random weights for a network whose own weights are not here: kernels of variance 1 / fan-in, and
 * normalisations whose four statistics all vary. So that numbers stay of order one however deep the network is, the
 * moving statistics of each normalisation are drawn around the mean square that its input is expected to have: it is
 * carried from layer to layer, exactly for convolutions and ReLU (He et al., 2015, https://arxiv.org/abs/1502.01852) and
 * by a constant for the rest.
 * @returns one array per weight, in the network's order; each depends on (seed, layer, weight name, network) alone
 */
export function randomWeights(network: ZooNetwork, seed: number): Float32Array[] {
  const { layers } = network.modelTopology["config"] as { layers: readonly TopologyLayer[] };
  const power = new Map<string, number>();
  const inputPower = new Map<string, number>();
  for (const layer of layers) {
    const inputs = (layer.inbound_nodes[0] ?? []).map(([name]) => power.get(name) ?? NaN);
    inputPower.set(layer.name, inputs[0] ?? 0);
    power.set(layer.name, outputPower(layer, inputs, network.inputScale ** 2));
  }
  return network.weights.map((weight) => {
    const random = new SeededRandom(seedFrom("random weights", seed, weight.layer, weight.name));
    const [low, high] = range(weight, inputPower.get(weight.layer) ?? NaN);
    const span = (high - low) / 2 ** 32;
    const values = new Float32Array(weight.shape.reduce((product, dim) => product * dim, 1));
    for (let index = 0; index < values.length; index++) values[index] = low + span * random.bits();
    return values;
  });
}

/** Mean squares of an activation's output over that of its input, for a normal input around zero. */
const activationGain: Readonly<Record<string, number>> = { linear: 1, relu: 0.5, swish: 0.36 };

/** Mean square of a sigmoid's output, for small inputs. */
const sigmoidPower = 0.27;

/** Of a normalisation: E[gamma²] · E[input²] / moving variance + E[beta²], with what the ranges below give. */
const normalizedPower = 1.03 * 1.03 * 1.03 + 0.03;

function outputPower(layer: TopologyLayer, inputs: readonly number[], picture: number): number {
  const [first = 0] = inputs;
  switch (layer.class_name) {
    case "InputLayer":
      return picture;
    case "BatchNormalization":
      return normalizedPower;
    case "Conv2D":
    case "Activation": {
      const activation = String(layer.config["activation"]);
      return activation === "sigmoid" ? sigmoidPower : first * (activationGain[activation] ?? NaN);
    }
    case "ReLU":
      return first * 0.5;
    case "Add":
      return inputs.reduce((sum, value) => sum + value, 0);
    case "Multiply":
      return inputs.reduce((product, value) => product * value, 1);
    case "Concatenate":
      return inputs.reduce((sum, value) => sum + value, 0) / inputs.length;
    default:
      // Depthwise and separable convolutions, padding, pooling, reshaping.
      return first;
  }
}

/** Uniform in ±√(3 / fan-in) has the variance 1 / fan-in. */
function range({ layer, name, shape }: ZooWeight, power: number): readonly [low: number, high: number] {
  const [height = 1, width = 1, channels = 1] = shape;
  const around = (bound: number): [number, number] => [-bound, bound];
  switch (name) {
    case "kernel":
    case "pointwise_kernel":
      return around(Math.sqrt(3 / (height * width * channels)));
    case "depthwise_kernel":
      return around(Math.sqrt(3 / (height * width)));
    case "bias":
      return around(0.1);
    case "gamma":
      return [0.7, 1.3];
    case "beta":
      return around(0.3);
    case "moving_mean":
      return around(0.3 * Math.sqrt(power));
    case "moving_variance":
      return [0.7 * power, 1.3 * power];
    default:
      throw new TrommelError("internal", `failed to draw ${layer}/${name}: no range is known for it.`);
  }
}
