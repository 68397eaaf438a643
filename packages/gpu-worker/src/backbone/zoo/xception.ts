import type { LayerStack, FeatureMap } from "./layer-stack.js";

/** Xception (Chollet, 2016, https://arxiv.org/abs/1610.02357), as keras_applications builds it. */
export function stackXception(stack: LayerStack, input: FeatureMap): FeatureMap {
  let x = stack.convolution(input, { filters: 32, kernel: 3, strides: 2, name: "block1_conv1" });
  x = relu(stack, stack.normalization(x, { name: "block1_conv1_bn" }), "block1_conv1_act");
  x = stack.convolution(x, { filters: 64, kernel: 3, name: "block1_conv2" });
  x = relu(stack, stack.normalization(x, { name: "block1_conv2_bn" }), "block1_conv2_act");
  x = shrinkingBlock(stack, x, 2, [128, 128]);
  x = shrinkingBlock(stack, x, 3, [256, 256]);
  x = shrinkingBlock(stack, x, 4, [728, 728]);
  for (let block = 5; block <= 12; block++) {
    let y = x;
    for (const part of [1, 2, 3]) {
      y = relu(stack, y, `block${block}_sepconv${part}_act`);
      y = separable(stack, y, `block${block}_sepconv${part}`, 728);
    }
    x = stack.add([y, x]);
  }
  x = shrinkingBlock(stack, x, 13, [728, 1024]);
  x = relu(stack, separable(stack, x, "block14_sepconv1", 1536), "block14_sepconv1_act");
  return relu(stack, separable(stack, x, "block14_sepconv2", 2048), "block14_sepconv2_act");
}

/** Halves the feature map, with a strided 1×1 convolution as shortcut. Those four and their normalisations have no given name in Keras. */
function shrinkingBlock(
  stack: LayerStack,
  input: FeatureMap,
  block: number,
  [first, second]: readonly [number, number],
): FeatureMap {
  const beside = { filters: second, kernel: 1, strides: 2, padding: "same" } as const;
  const residual = stack.normalization(stack.convolution(input, beside));
  // The second block's input has already passed an activation.
  let x = block === 2 ? input : relu(stack, input, `block${block}_sepconv1_act`);
  x = separable(stack, x, `block${block}_sepconv1`, first);
  x = relu(stack, x, `block${block}_sepconv2_act`);
  x = separable(stack, x, `block${block}_sepconv2`, second);
  x = stack.maxPooling(x, { kernel: 3, strides: 2, padding: "same", name: `block${block}_pool` });
  return stack.add([x, residual]);
}

function separable(stack: LayerStack, input: FeatureMap, name: string, filters: number): FeatureMap {
  const x = stack.separableConvolution(input, { filters, kernel: 3, padding: "same", name });
  return stack.normalization(x, { name: `${name}_bn` });
}

function relu(stack: LayerStack, input: FeatureMap, name: string): FeatureMap {
  return stack.activation(input, { activation: "relu", name });
}
