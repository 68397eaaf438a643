import {
  TrommelError,
  namedNormalizations,
  type Normalization,
  type ChannelOrder,
  type Pooling,
} from "@trommel/common";
import { efficientNetScales, stackEfficientNet } from "./efficientnet.js";
import { stackInceptionV3 } from "./inception-v3.js";
import { LayerStack, type FeatureMap, type ZooWeight } from "./layer-stack.js";
import { stackMobileNetV1 } from "./mobilenet-v1.js";
import { stackMobileNetV2 } from "./mobilenet-v2.js";
import { resNetBlocks, stackResNet } from "./resnet.js";
import { stackXception } from "./xception.js";

export type { ZooWeight } from "./layer-stack.js";

/** A network of the zoo without its weights: Keras's layers without the classifier, pooled to one embedding [N, D]. */
export interface ZooNetwork {
  /** What model.json holds as modelTopology. */
  readonly modelTopology: Readonly<Record<string, unknown>>;
  /** Layer by layer in Keras's order of model.layers; within a layer in Keras's order of weights. */
  readonly weights: readonly ZooWeight[];
  readonly parameterCount: number;
  /** Approximate root mean square of the normalised pixels that the published weights expect. */
  readonly inputScale: number;
}

export interface ZooOptions {
  /** Side of the square input in pixels. */
  readonly inputSize: number;
  readonly pooling: Pooling;
}

export interface ArchitectureDefaults {
  /** Side in pixels for which the published weights were trained. */
  readonly inputSize: number;
  /** What Keras's `preprocess_input` does for the published weights. */
  readonly normalization: Normalization;
  readonly channelOrder: ChannelOrder;
}

interface Architecture extends ArchitectureDefaults {
  /** Smallest input that Keras accepts. */
  readonly minimumSize: number;
  readonly stack: (stack: LayerStack, input: FeatureMap) => FeatureMap;
}

const rgb = { channelOrder: "rgb", minimumSize: 32 } as const;
const tf = { ...rgb, normalization: namedNormalizations.tf } as const;

/** Keras's `caffe`: no scaling, only means; Keras lists them as blue, green, red, here they are in the normalisation's order. */
const caffe = {
  channelOrder: "bgr",
  minimumSize: 32,
  normalization: { mean: [123.68, 116.779, 103.939], deviation: [1, 1, 1] },
} as const satisfies Partial<Architecture>;

const named: ReadonlyMap<string, Architecture> = new Map<string, Architecture>([
  ...Object.entries(efficientNetScales).map(([size, scale]): [string, Architecture] => [
    `efficientnet-${size}`,
    {
      ...rgb,
      normalization: namedNormalizations.torch,
      inputSize: scale.size,
      stack: (stack, input) => stackEfficientNet(stack, input, scale),
    },
  ]),
  ...Object.entries(resNetBlocks).map(([name, blocks]): [string, Architecture] => [
    name,
    { ...caffe, inputSize: 224, stack: (stack, input) => stackResNet(stack, input, blocks) },
  ]),
  ["inception-v3", { ...tf, inputSize: 299, minimumSize: 75, stack: stackInceptionV3 }],
  ["xception", { ...tf, inputSize: 299, minimumSize: 71, stack: stackXception }],
]);

const widened = {
  "mobilenet-v1": stackMobileNetV1,
  "mobilenet-v2": stackMobileNetV2,
} as const;

const minimumWidth = 0.05;
const maximumWidth = 4;

/** For messages and --help; without `[-<width>]` the width is 1. */
export const architectureNames: readonly string[] = [
  ...Object.keys(efficientNetScales).map((size) => `efficientnet-${size}`),
  ...Object.keys(widened).map((name) => `${name}[-<width>]`),
  ...Object.keys(resNetBlocks),
  "inception-v3",
  "xception",
];

/**
 * The layers and weights of an architecture by its name.
 * @throws TrommelError `invalid-argument` for an unknown name, a width outside 0.05 to 4, or an input below Keras's minimum
 */
export function zooNetwork(architecture: string, options: ZooOptions): ZooNetwork {
  const found = findArchitecture(architecture);
  const { inputSize, pooling } = options;
  if (!Number.isSafeInteger(inputSize) || inputSize < found.minimumSize) {
    throw new TrommelError(
      "invalid-argument",
      `cannot build ${architecture} for an input of ${inputSize} pixels ` +
        `(legal: a whole number from ${found.minimumSize}). Its published weights were trained for ${found.inputSize}`,
      { context: { architecture, inputSize, minimumSize: found.minimumSize } },
    );
  }
  const stack = new LayerStack();
  const features = found.stack(stack, stack.input(inputSize));
  const name = pooling === "average" ? "avg_pool" : "max_pool";
  const { modelTopology, weights } = stack.finish(
    architecture,
    stack.globalPooling(features, { pooling, name }),
  );
  const parameterCount = weights.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return { modelTopology, weights, parameterCount, inputScale: inputScale(found.normalization) };
}

/** @throws TrommelError `invalid-argument` for an unknown name or width */
export function architectureDefaults(architecture: string): ArchitectureDefaults {
  const { inputSize, normalization, channelOrder } = findArchitecture(architecture);
  return { inputSize, normalization, channelOrder };
}

function findArchitecture(name: string): Architecture {
  const fixed = named.get(name);
  if (fixed !== undefined) return fixed;
  const [, family = "", given] = /^(mobilenet-v[12])(?:-(\d+(?:\.\d+)?))?$/.exec(name) ?? [];
  if (family !== "mobilenet-v1" && family !== "mobilenet-v2") {
    throw illegal(name, `no such architecture (legal: ${architectureNames.join(", ")})`);
  }
  const width = Number(given ?? 1);
  if (!(width >= minimumWidth && width <= maximumWidth)) {
    throw illegal(name, `its width is ${width} (legal: ${minimumWidth} to ${maximumWidth})`);
  }
  return { ...tf, inputSize: 224, stack: (stack, input) => widened[family](stack, input, width) };
}

function illegal(name: string, why: string): TrommelError {
  return new TrommelError(
    "invalid-argument",
    `cannot use the architecture "${name}": ${why}. Choose one of these, or import a complete model instead`,
    { context: { architecture: name } },
  );
}

/** Photographs deviate by about 75 of 255 from the subtracted mean. */
function inputScale({ deviation }: Normalization): number {
  return 75 / deviation[0];
}
