import type { Normalization, ChannelOrder, Pooling } from "@trommel/common";
import { readLayersModel } from "../layers/layers-model.js";
import { prepareLayers, type PreparedBackbone } from "./prepared-backbone.js";
import { architectureDefaults, zooNetwork, type ZooNetwork } from "../zoo/architectures.js";
import { zooLayersFiles } from "../zoo/zoo-layers-files.js";

/** Options for a network of the zoo. */
export interface ZooChoices {
  readonly architecture: string;
  /** @default the architecture's */
  readonly inputSize?: number;
  /** @default "average" */
  readonly pooling?: Pooling;
  /** @default the architecture's */
  readonly normalization?: Normalization;
  /** @default the architecture's */
  readonly channelOrder?: ChannelOrder;
  /** Layer at which the network is cut. @default after its pooling */
  readonly output?: string;
}

/** The resolved options. */
export interface ZooBackbone {
  readonly architecture: string;
  readonly network: ZooNetwork;
  readonly inputSize: number;
  readonly pooling: Pooling;
  readonly normalization: Normalization;
  readonly channelOrder: ChannelOrder;
  readonly output: string | undefined;
}

/** @throws TrommelError `invalid-argument` for an unknown architecture, or a size too small for it */
export function resolveZoo(choices: ZooChoices): ZooBackbone {
  const defaults = architectureDefaults(choices.architecture);
  const { architecture, inputSize = defaults.inputSize, pooling = "average", output } = choices;
  const network = zooNetwork(architecture, { inputSize, pooling });
  const { normalization = defaults.normalization, channelOrder = defaults.channelOrder } = choices;
  return { architecture, network, inputSize, pooling, normalization, channelOrder, output };
}

/** Compiles a network of the zoo with the given weights, and checks it like any layers model. */
export async function prepareZoo(
  zoo: ZooBackbone,
  weights: readonly Float32Array[],
  log: (line: string) => void,
): Promise<PreparedBackbone> {
  const { network, inputSize, pooling, normalization, output } = zoo;
  const files = zooLayersFiles(network, weights);
  const model = await readLayersModel(files.modelJson, () => Promise.resolve(files.weightsBin));
  const prepared = await prepareLayers(model, {
    inputSize,
    pooling,
    normalization,
    log,
    ...(output === undefined ? {} : { output }),
  });
  // A network that is cut earlier is incomplete and not pooled by its own layer.
  return output === undefined ? { ...prepared, pooling, parameterCount: network.parameterCount } : prepared;
}
