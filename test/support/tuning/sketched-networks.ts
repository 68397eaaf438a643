import type { Pooling } from "@trommel/common";
import { NetworkSketch } from "./network-sketch.js";

export interface SketchedNetwork {
  readonly name: string;
  readonly sketch: () => NetworkSketch;
  /** Length of the embedding. */
  readonly dimension: number;
  readonly pooling: Pooling;
  /**
   * The largest block of channels that all its convolutions with an activation fill. In a larger one the narrow ones are plain
   * convolutions, which the runtime may merge with their activation.
   */
  readonly largestBlock: 0 | 8 | 16;
}

/**
 * Depthwise-separable blocks with padding apart, squeeze and excitation, and a residual; a map comes out.
 * @param isSmooth without kinks, at which the least rounding gives another gradient
 */
function mobile(isSmooth: boolean): NetworkSketch {
  const sketch = new NetworkSketch(20);
  const rectified = (from: string, config: Readonly<Record<string, unknown>> = {}): string =>
    isSmooth ? sketch.add("Activation", from, { activation: "swish" }) : sketch.add("ReLU", from, config);
  let x = sketch.convolution(sketch.input, [3, 16], 3, { strides: 2, use_bias: false });
  x = rectified(sketch.normalization(x, 16), { max_value: 6 });
  x = sketch.add("ZeroPadding2D", x, {
    padding: [
      [0, 1],
      [0, 1],
    ],
  });
  x = sketch.depthwise(x, 16, 3, { strides: 2, padding: "valid", use_bias: false });
  x = sketch.add("Activation", sketch.normalization(x, 16, { scale: false }), { activation: "swish" });
  const narrow = sketch.normalization(sketch.convolution(x, [16, 32], 1, { use_bias: false }), 32);
  x = sketch.convolution(narrow, [32, 64], 1, { activation: isSmooth ? "elu" : "relu6" });
  x = rectified(sketch.normalization(sketch.depthwise(x, 64, 5, { use_bias: false }), 64));
  let gate = sketch.add("Reshape", sketch.add("GlobalAveragePooling2D", x), { target_shape: [1, 1, 64] });
  gate = sketch.convolution(gate, [64, 16], 1, { activation: "swish" });
  gate = sketch.convolution(gate, [16, 64], 1, { activation: "sigmoid" });
  x = sketch.convolution(sketch.add("Multiply", [x, gate]), [64, 32], 1, { use_bias: false });
  x = sketch.add("Dropout", sketch.normalization(x, 32), { rate: 0.2 });
  x = sketch.add("Activation", sketch.add("Add", [x, narrow]), { activation: "swish" });
  rectified(sketch.normalization(x, 32, { center: false }));
  return sketch;
}

/** Branches of different windows, joined; a vector comes out. */
function branches(): NetworkSketch {
  const sketch = new NetworkSketch(18);
  let x = sketch.convolution(sketch.input, [3, 16], 3, { padding: "valid", activation: "relu" });
  x = sketch.add("MaxPooling2D", sketch.normalization(x, 16), {
    pool_size: 3,
    strides: 2,
    padding: "same",
  });
  const wide = sketch.normalization(
    sketch.convolution(x, [16, 16], 3, { dilation_rate: 2, use_bias: false }),
    16,
  );
  const apart = sketch.separable(x, [16, 16], 3, { activation: "relu" });
  const pooled = sketch.add("AveragePooling2D", x, { pool_size: 3, strides: 1, padding: "same" });
  const large = sketch.add("MaxPooling2D", x, { pool_size: 2, strides: 1, padding: "same" });
  const mean = sketch.add("Average", [wide, apart, large]);
  x = sketch.add("Concatenate", [mean, sketch.convolution(pooled, [16, 24], 1), apart], { axis: -1 });
  x = sketch.add("LeakyReLU", sketch.normalization(x, 56), { alpha: 0.2 });
  x = sketch.add("Cropping2D", x, {
    cropping: [
      [1, 0],
      [0, 1],
    ],
  });
  x = sketch.convolution(x, [56, 16], 3, { strides: 2, activation: "tanh" });
  x = sketch.add("AveragePooling2D", x, { pool_size: 2 });
  // 37 is prime: a group normalisation of a vector needs groups of many channels.
  x = sketch.dense(sketch.add("Flatten", x), [64, 37], { activation: "elu" });
  sketch.dense(sketch.normalization(x, 37), [37, 20], { use_bias: false });
  return sketch;
}

/** Strides of two through wide, narrow, flat and separable windows, with shortcuts; a map comes out. */
function residual(): NetworkSketch {
  const sketch = new NetworkSketch(16);
  const normalized = (from: string, channels: number): string => sketch.normalization(from, channels);
  const bare = { use_bias: false };
  let x = sketch.add("ZeroPadding2D", sketch.input, { padding: 3 });
  x = sketch.convolution(x, [3, 16], 7, { ...bare, strides: 2, padding: "valid" });
  x = sketch.add("Activation", normalized(x, 16), { activation: "relu" });
  x = sketch.add("MaxPooling2D", sketch.add("ZeroPadding2D", x, { padding: 1 }), {
    pool_size: 3,
    strides: 2,
  });
  const flat = sketch.convolution(x, [16, 16], [1, 5], { activation: "relu" });
  x = sketch.add("Add", [x, sketch.convolution(flat, [16, 16], [5, 1])]);
  const shortcut = normalized(sketch.convolution(x, [16, 32], 1, { ...bare, strides: 2 }), 32);
  let inner = sketch.convolution(x, [16, 8], 1, { ...bare, strides: 2, padding: "valid" });
  inner = sketch.add("Activation", normalized(inner, 8), { activation: "relu" });
  inner = sketch.convolution(inner, [8, 32], 3, bare);
  const apart = normalized(sketch.separable(x, [16, 32], 3, { ...bare, strides: 2 }), 32);
  x = sketch.add("Add", [normalized(inner, 32), shortcut, apart]);
  sketch.add("Activation", x, { activation: "relu" });
  return sketch;
}

/** Channel counts that fill no block, uneven sizes, pools over a padded map, two outputs of each depthwise channel. */
function odd(): NetworkSketch {
  const sketch = new NetworkSketch(13);
  let x = sketch.convolution(sketch.input, [3, 6], 5, { strides: 2, activation: "softplus" });
  x = sketch.depthwise(sketch.normalization(x, 6), 6, 3, {
    depth_multiplier: 2,
    activation: "hard_sigmoid",
  });
  x = sketch.add("ZeroPadding2D", sketch.normalization(x, 12), { padding: 1 });
  const largest = sketch.add("MaxPooling2D", x, { pool_size: 3, strides: 2 });
  const mean = sketch.add("AveragePooling2D", x, { pool_size: 3, strides: 2 });
  x = sketch.add("Multiply", [largest, sketch.add("Activation", mean, { activation: "tanh" })]);
  x = sketch.convolution(x, [12, 20], 2, { padding: "valid", activation: "elu" });
  x = sketch.depthwise(x, 20, 2, { dilation_rate: 2, use_bias: false });
  x = sketch.add("Activation", sketch.normalization(x, 20), { activation: "softplus" });
  const both = [sketch.add("GlobalMaxPooling2D", x), sketch.add("GlobalAveragePooling2D", x)];
  x = sketch.add("Concatenate", both);
  x = sketch.add("Reshape", sketch.dense(x, [40, 36]), { target_shape: [3, 3, 4] });
  sketch.convolution(sketch.normalization(x, 4), [4, 10], 2, { activation: "relu" });
  return sketch;
}

/** Together they have every layer type, activation and window that can be tuned. */
export const sketchedNetworks: readonly SketchedNetwork[] = [
  { name: "mobile", sketch: () => mobile(false), dimension: 32, pooling: "average", largestBlock: 16 },
  { name: "branches", sketch: branches, dimension: 20, pooling: "average", largestBlock: 16 },
  { name: "residual", sketch: residual, dimension: 32, pooling: "average", largestBlock: 8 },
  { name: "odd", sketch: odd, dimension: 10, pooling: "max", largestBlock: 0 },
];

/** Many steps through it end alike whatever the order of a sum. */
export const smoothNetwork: SketchedNetwork = {
  name: "smooth",
  sketch: () => mobile(true),
  dimension: 32,
  pooling: "average",
  largestBlock: 16,
};
