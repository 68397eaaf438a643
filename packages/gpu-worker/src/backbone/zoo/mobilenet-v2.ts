import { correctPad, type LayerStack, type FeatureMap } from "./layer-stack.js";

/** MobileNetV2 (Sandler et al., 2018, https://arxiv.org/abs/1801.04381), as keras_applications 1.0.8 builds it. */

const stages = [
  { filters: 16, repeats: 1, strides: 1 },
  { filters: 24, repeats: 2, strides: 2 },
  { filters: 32, repeats: 3, strides: 2 },
  { filters: 64, repeats: 4, strides: 2 },
  { filters: 96, repeats: 3, strides: 1 },
  { filters: 160, repeats: 3, strides: 2 },
  { filters: 320, repeats: 1, strides: 1 },
];

/** Keras's `_make_divisible`: a multiple of 8 near the value, and at least nine tenths of it. */
function makeDivisible(value: number): number {
  const rounded = Math.max(8, Math.floor(Math.trunc(value + 4) / 8) * 8);
  return rounded < 0.9 * value ? rounded + 8 : rounded;
}

/** @param width multiplies the filters; those of the last layer are only widened, never reduced */
export function stackMobileNetV2(stack: LayerStack, input: FeatureMap, width: number): FeatureMap {
  let x = stack.zeroPadding(input, { padding: correctPad(input, 3), name: "Conv1_pad" });
  x = stack.convolution(x, { filters: makeDivisible(32 * width), kernel: 3, strides: 2, name: "Conv1" });
  x = stack.relu6(stack.normalization(x, { name: "bn_Conv1" }), { name: "Conv1_relu" });
  let id = 0;
  for (const { filters, repeats, strides } of stages) {
    for (let repeat = 0; repeat < repeats; repeat++) {
      const scaled = makeDivisible(Math.trunc(filters * width));
      x = invertedBlock(stack, x, { id, filters: scaled, strides: repeat === 0 ? strides : 1 });
      id++;
    }
  }
  const last = width > 1 ? makeDivisible(1280 * width) : 1280;
  x = stack.convolution(x, { filters: last, kernel: 1, name: "Conv_1" });
  return stack.relu6(stack.normalization(x, { name: "Conv_1_bn" }), { name: "out_relu" });
}

interface InvertedBlock {
  readonly id: number;
  readonly filters: number;
  readonly strides: number;
}

function invertedBlock(
  stack: LayerStack,
  input: FeatureMap,
  { id, filters, strides }: InvertedBlock,
): FeatureMap {
  const name = id === 0 ? "expanded_conv_" : `block_${id}_`;
  const one = { kernel: 1, padding: "same" } as const;
  let x = input;
  if (id > 0) {
    x = stack.convolution(x, { ...one, filters: input.channels * 6, name: `${name}expand` });
    x = stack.normalization(x, { name: `${name}expand_BN` });
    x = stack.relu6(x, { name: `${name}expand_relu` });
  }
  if (strides === 2) x = stack.zeroPadding(x, { padding: correctPad(x, 3), name: `${name}pad` });
  const padding = strides === 1 ? "same" : "valid";
  x = stack.depthwiseConvolution(x, { kernel: 3, strides, padding, name: `${name}depthwise` });
  x = stack.normalization(x, { name: `${name}depthwise_BN` });
  x = stack.relu6(x, { name: `${name}depthwise_relu` });
  x = stack.convolution(x, { ...one, filters, name: `${name}project` });
  x = stack.normalization(x, { name: `${name}project_BN` });
  const keepsShape = strides === 1 && input.channels === filters;
  return keepsShape ? stack.add([input, x], { name: `${name}add` }) : x;
}
