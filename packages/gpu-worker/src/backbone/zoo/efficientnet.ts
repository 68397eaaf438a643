import { correctPad, type LayerStack, type FeatureMap } from "./layer-stack.js";

/** EfficientNet (Tan and Le, 2019, https://arxiv.org/abs/1905.11946), as keras_applications builds it. */

export interface EfficientNetScale {
  readonly width: number;
  readonly depth: number;
  /** Side in pixels for which it was designed. */
  readonly size: number;
}

export const efficientNetScales = {
  b0: { width: 1, depth: 1, size: 224 },
  b1: { width: 1, depth: 1.1, size: 240 },
  b2: { width: 1.1, depth: 1.2, size: 260 },
  b3: { width: 1.2, depth: 1.4, size: 300 },
  b4: { width: 1.4, depth: 1.8, size: 380 },
  b5: { width: 1.6, depth: 2.2, size: 456 },
  b6: { width: 1.8, depth: 2.6, size: 528 },
  b7: { width: 2, depth: 3.1, size: 600 },
} as const satisfies Record<string, EfficientNetScale>;

/** The stages of B0, which the coefficients widen and repeat. */
const stages = [
  { kernel: 3, repeats: 1, from: 32, to: 16, expand: 1, strides: 1 },
  { kernel: 3, repeats: 2, from: 16, to: 24, expand: 6, strides: 2 },
  { kernel: 5, repeats: 2, from: 24, to: 40, expand: 6, strides: 2 },
  { kernel: 3, repeats: 3, from: 40, to: 80, expand: 6, strides: 2 },
  { kernel: 5, repeats: 3, from: 80, to: 112, expand: 6, strides: 1 },
  { kernel: 5, repeats: 4, from: 112, to: 192, expand: 6, strides: 2 },
  { kernel: 3, repeats: 1, from: 192, to: 320, expand: 6, strides: 1 },
] as const;

const squeezeRatio = 0.25;

/** A multiple of 8 near filters · width, and at least nine tenths of it. */
function roundFilters(filters: number, width: number): number {
  const scaled = filters * width;
  const rounded = Math.max(8, Math.floor((scaled + 4) / 8) * 8);
  return rounded < 0.9 * scaled ? rounded + 8 : rounded;
}

export function stackEfficientNet(
  stack: LayerStack,
  input: FeatureMap,
  scale: EfficientNetScale,
): FeatureMap {
  const filters = (base: number): number => roundFilters(base, scale.width);
  let x = stack.zeroPadding(input, { padding: correctPad(input, 3), name: "stem_conv_pad" });
  x = stack.convolution(x, { filters: filters(32), kernel: 3, strides: 2, name: "stem_conv" });
  x = normalizedSwish(stack, x, "stem_bn", "stem_activation");
  stages.forEach((stage, index) => {
    const repeats = Math.ceil(scale.depth * stage.repeats);
    for (let repeat = 0; repeat < repeats; repeat++) {
      x = invertedBlock(stack, x, {
        name: `block${index + 1}${String.fromCharCode(97 + repeat)}_`,
        kernel: stage.kernel,
        expand: stage.expand,
        strides: repeat === 0 ? stage.strides : 1,
        filters: filters(stage.to),
      });
    }
  });
  x = stack.convolution(x, { filters: filters(1280), kernel: 1, padding: "same", name: "top_conv" });
  return normalizedSwish(stack, x, "top_bn", "top_activation");
}

interface InvertedBlock {
  readonly name: string;
  readonly kernel: number;
  readonly expand: number;
  readonly strides: number;
  readonly filters: number;
}

function invertedBlock(stack: LayerStack, input: FeatureMap, block: InvertedBlock): FeatureMap {
  const { name, kernel, strides } = block;
  let x = input;
  if (block.expand !== 1) {
    const filters = input.channels * block.expand;
    x = stack.convolution(x, { filters, kernel: 1, padding: "same", name: `${name}expand_conv` });
    x = normalizedSwish(stack, x, `${name}expand_bn`, `${name}expand_activation`);
  }
  if (strides === 2) x = stack.zeroPadding(x, { padding: correctPad(x, kernel), name: `${name}dwconv_pad` });
  const padding = strides === 2 ? "valid" : "same";
  x = stack.depthwiseConvolution(x, { kernel, strides, padding, name: `${name}dwconv` });
  x = normalizedSwish(stack, x, `${name}bn`, `${name}activation`);
  x = squeezeAndExcite(stack, x, input.channels, name);
  x = stack.convolution(x, {
    filters: block.filters,
    kernel: 1,
    padding: "same",
    name: `${name}project_conv`,
  });
  x = stack.normalization(x, { name: `${name}project_bn` });
  // Keras drops whole branches here in training; this has no effect at inference, so there is no layer for it.
  const keepsShape = strides === 1 && input.channels === block.filters;
  return keepsShape ? stack.add([x, input], { name: `${name}add` }) : x;
}

/** The squeezed width is a share of the block's input, not of the widened feature map. */
function squeezeAndExcite(stack: LayerStack, x: FeatureMap, blockInput: number, name: string): FeatureMap {
  const squeezed = Math.max(1, Math.floor(blockInput * squeezeRatio));
  let gate = stack.globalPooling(x, { pooling: "average", name: `${name}se_squeeze` });
  gate = stack.asPixel(gate, { name: `${name}se_reshape` });
  const one = { kernel: 1, padding: "same", bias: true } as const;
  gate = stack.convolution(gate, {
    ...one,
    filters: squeezed,
    activation: "swish",
    name: `${name}se_reduce`,
  });
  gate = stack.convolution(gate, {
    ...one,
    filters: x.channels,
    activation: "sigmoid",
    name: `${name}se_expand`,
  });
  return stack.multiply([x, gate], { name: `${name}se_excite` });
}

function normalizedSwish(stack: LayerStack, x: FeatureMap, bn: string, activation: string): FeatureMap {
  return stack.activation(stack.normalization(x, { name: bn }), { activation: "swish", name: activation });
}
