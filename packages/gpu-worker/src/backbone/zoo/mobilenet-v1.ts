import type { LayerStack, FeatureMap } from "./layer-stack.js";

/** MobileNet (Howard et al., 2017, https://arxiv.org/abs/1704.04861), as keras_applications 1.0.8 builds it. */

const blocks = [
  { filters: 64, strides: 1 },
  { filters: 128, strides: 2 },
  { filters: 128, strides: 1 },
  { filters: 256, strides: 2 },
  { filters: 256, strides: 1 },
  { filters: 512, strides: 2 },
  ...Array.from({ length: 5 }, () => ({ filters: 512, strides: 1 })),
  { filters: 1024, strides: 2 },
  { filters: 1024, strides: 1 },
];

/** @param width share of the filters that is kept; Keras truncates the product, without rounding to multiples of 8 */
export function stackMobileNetV1(stack: LayerStack, input: FeatureMap, width: number): FeatureMap {
  // Zeros at the end only, which equals SAME for even sizes but not for odd ones.
  const padding = [0, 1] as const;
  let x = stack.zeroPadding(input, { padding, name: "conv1_pad" });
  x = stack.convolution(x, { filters: Math.trunc(32 * width), kernel: 3, strides: 2, name: "conv1" });
  x = stack.relu6(stack.normalization(x, { name: "conv1_bn" }), { name: "conv1_relu" });
  blocks.forEach(({ filters, strides }, index) => {
    const id = index + 1;
    if (strides === 2) x = stack.zeroPadding(x, { padding, name: `conv_pad_${id}` });
    x = stack.depthwiseConvolution(x, {
      kernel: 3,
      strides,
      padding: strides === 1 ? "same" : "valid",
      name: `conv_dw_${id}`,
    });
    x = stack.normalization(x, { name: `conv_dw_${id}_bn` });
    x = stack.relu6(x, { name: `conv_dw_${id}_relu` });
    const pointwise = { filters: Math.trunc(filters * width), kernel: 1, padding: "same" } as const;
    x = stack.convolution(x, { ...pointwise, name: `conv_pw_${id}` });
    x = stack.normalization(x, { name: `conv_pw_${id}_bn` });
    x = stack.relu6(x, { name: `conv_pw_${id}_relu` });
  });
  return x;
}
