/** The architecture whose weights test/golden/h5/write-keras-h5.py writes, and its formula for their values. */

export interface TinyWeight {
  readonly layer: string;
  readonly name: string;
  readonly shape: readonly number[];
}

const weight = (layer: string, name: string, ...shape: number[]): TinyWeight => ({ layer, name, shape });

export const tinyWeights: readonly TinyWeight[] = [
  weight("conv1", "kernel", 3, 3, 3, 4),
  weight("conv1_bn", "gamma", 4),
  weight("conv1_bn", "beta", 4),
  weight("conv1_bn", "moving_mean", 4),
  weight("conv1_bn", "moving_variance", 4),
  weight("dw", "depthwise_kernel", 3, 3, 4, 1),
  weight("sep", "depthwise_kernel", 3, 3, 4, 1),
  weight("sep", "pointwise_kernel", 1, 1, 4, 6),
  weight("sep", "bias", 6),
  weight("conv2d", "kernel", 1, 1, 6, 2),
  weight("conv2d", "bias", 2),
  weight("conv2d_1", "kernel", 1, 1, 6, 2),
  weight("conv2d_1", "bias", 2),
];

export const tinyArchitecture = { architecture: "tiny", weights: tinyWeights };

/** Exact in float16. */
export const tinyValues: readonly Float32Array[] = tinyWeights.map(({ shape }, index) =>
  Float32Array.from(
    { length: shape.reduce((product, side) => product * side, 1) },
    (_, i) => (((31 * index + 7 * i) % 101) - 50) / 64,
  ),
);
