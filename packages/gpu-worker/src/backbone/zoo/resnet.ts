import type { LayerStack, FeatureMap } from "./layer-stack.js";

/**
 * ResNet v1 (He et al., 2015, https://arxiv.org/abs/1512.03385), as keras_applications builds it: convolutions have
 * biases, and a block's stride is in its first 1×1 convolution.
 */

export const resNetBlocks = {
  resnet50: [3, 4, 6, 3],
  resnet101: [3, 4, 23, 3],
  resnet152: [3, 8, 36, 3],
} as const satisfies Record<string, readonly number[]>;

const epsilon = 1.001e-5;

export function stackResNet(stack: LayerStack, input: FeatureMap, blocks: readonly number[]): FeatureMap {
  let x = stack.zeroPadding(input, { padding: [3, 3], name: "conv1_pad" });
  x = stack.convolution(x, { filters: 64, kernel: 7, strides: 2, bias: true, name: "conv1_conv" });
  x = stack.normalization(x, { epsilon, name: "conv1_bn" });
  x = stack.activation(x, { activation: "relu", name: "conv1_relu" });
  x = stack.zeroPadding(x, { padding: [1, 1], name: "pool1_pad" });
  x = stack.maxPooling(x, { kernel: 3, strides: 2, name: "pool1_pool" });
  blocks.forEach((count, stage) => {
    for (let index = 1; index <= count; index++) {
      const name = `conv${stage + 2}_block${index}`;
      const strides = stage > 0 && index === 1 ? 2 : 1;
      x = bottleneck(stack, x, { name, filters: 64 * 2 ** stage, strides, projects: index === 1 });
    }
  });
  return x;
}

interface Bottleneck {
  readonly name: string;
  readonly filters: number;
  readonly strides: number;
  /** The shortcut is a convolution because the shape changes. */
  readonly projects: boolean;
}

function bottleneck(stack: LayerStack, input: FeatureMap, block: Bottleneck): FeatureMap {
  const { name, filters, strides } = block;
  const layer = (
    from: FeatureMap,
    part: number,
    options: { filters: number; strides?: number },
  ): FeatureMap => {
    const window = part === 2 ? ({ kernel: 3, padding: "same" } as const) : { kernel: 1 };
    const x = stack.convolution(from, { ...window, ...options, bias: true, name: `${name}_${part}_conv` });
    return stack.normalization(x, { epsilon, name: `${name}_${part}_bn` });
  };
  const relu = (from: FeatureMap, suffix: string): FeatureMap =>
    stack.activation(from, { activation: "relu", name: `${name}_${suffix}` });
  const shortcut = block.projects ? layer(input, 0, { filters: 4 * filters, strides }) : input;
  let x = relu(layer(input, 1, { filters, strides }), "1_relu");
  x = relu(layer(x, 2, { filters }), "2_relu");
  x = layer(x, 3, { filters: 4 * filters });
  return relu(stack.add([shortcut, x], { name: `${name}_add` }), "out");
}
