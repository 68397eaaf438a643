import type { backend_util, KernelFunc, Tensor, Tensor3D, Tensor4D } from "@tensorflow/tfjs-core";
import type { Tensorflow } from "../../graph/tensorflow.js";

type Core = Tensorflow["tf"];
type Shape4 = [number, number, number, number];

/** What TensorFlow.js passes to the kernels below; dilation is always 1, which its gradients insist on. */
interface ConvolutionAttributes {
  readonly strides: number | [number, number];
  readonly pad: "same" | "valid" | number;
  /** Only for a filter's gradient. */
  readonly filterShape: Shape4;
  /** Only for an input's gradient. */
  readonly inputShape: Shape4;
}

/**
 * Registers the kernels of convolutions' gradients that the running backend lacks, made of operations that it has. The wasm
 * backend has only one of the four: the gradient of a plain convolution's input. Registration holds for the whole process.
 */
export function addMissingKernels(tf: Core): void {
  const backendName = tf.getBackend();
  for (const [kernelName, kernel] of Object.entries(kernels)) {
    if (tf.getKernel(kernelName, backendName) !== undefined) continue;
    const kernelFunc: KernelFunc = ({ inputs, attrs }) =>
      tf.tidy(() =>
        kernel(tf, inputs as Record<string, Tensor4D>, attrs as unknown as ConvolutionAttributes),
      );
    tf.registerKernel({ kernelName, backendName, kernelFunc });
  }
}

type Kernel = (
  tf: Core,
  inputs: Readonly<Record<string, Tensor4D>>,
  attributes: ConvolutionAttributes,
) => Tensor;

const kernels: Readonly<Record<string, Kernel>> = {
  /** For each place of the filter, the pixels under it times the gradient: [C, N·H·W] · [N·H·W, O]. */
  Conv2DBackpropFilter: (tf, { x, dy }, attributes) => {
    const geometry = geometryOf(tf, (x as Tensor4D).shape, attributes.filterShape, attributes);
    const rows = (value: Tensor, channels: number) => tf.reshape(value, [-1, channels]);
    const gradient = rows(dy as Tensor4D, geometry.outChannels);
    const products = windowsOf(tf, x as Tensor4D, geometry).map((window) =>
      tf.matMul(tf.transpose(rows(window, geometry.inChannels)), gradient),
    );
    return tf.reshape(tf.stack(products), attributes.filterShape);
  },
  DepthwiseConv2dNativeBackpropFilter: (tf, { x, dy }, attributes) => {
    const geometry = geometryOf(tf, (x as Tensor4D).shape, attributes.filterShape, attributes);
    const [, , channels, multiplier] = attributes.filterShape;
    const gradient = tf.reshape(dy as Tensor4D, [-1, channels, multiplier]);
    const sums = windowsOf(tf, x as Tensor4D, geometry).map((window) =>
      tf.sum(tf.mul(tf.reshape(window, [-1, channels, 1]), gradient), 0),
    );
    return tf.reshape(tf.stack(sums), attributes.filterShape);
  },
  /** A convolution of the gradient, with zeros between its pixels, by the filter turned around. */
  DepthwiseConv2dNativeBackpropInput: (tf, { dy, filter }, attributes) => {
    const { shape } = filter as Tensor4D;
    const geometry = geometryOf(tf, attributes.inputShape, shape, attributes);
    const spread = spreadOut(tf, dy as Tensor4D, geometry);
    const [, rows, columns] = spread.shape;
    const [height, width, channels, multiplier] = shape;
    const turned = tf.reverse(filter as Tensor4D, [0, 1]);
    // Output channel c · multiplier + q belongs to input channel c: one convolution for each q.
    const parts = Array.from({ length: multiplier }, (_, q) => {
      const all = tf.reshape(spread, [-1, channels, multiplier]);
      const own = tf.reshape(tf.slice(all, [0, 0, q], [-1, -1, 1]), [-1, rows, columns, channels]);
      const part = tf.slice(turned, [0, 0, 0, q], [height, width, channels, 1]);
      return tf.depthwiseConv2d(own as Tensor4D, part, 1, "valid");
    });
    return tf.addN(parts);
  },
};

function geometryOf(
  tf: Core,
  input: Shape4,
  filter: Shape4,
  { strides, pad }: ConvolutionAttributes,
): backend_util.Conv2DInfo {
  return tf.backend_util.computeConv2DInfo(input, filter, strides, 1, pad);
}

/** For each place of the filter, row by row, the pixels that it meets: [N, outHeight, outWidth, C] each. */
function windowsOf(tf: Core, x: Tensor4D, geometry: backend_util.Conv2DInfo): readonly Tensor[] {
  const { padInfo, filterHeight, filterWidth, outHeight, outWidth, strideHeight, strideWidth } = geometry;
  const { top, bottom, left, right } = padInfo;
  const padded = tf.pad(x, [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ]);
  const [images, , , channels] = x.shape;
  return Array.from({ length: filterHeight * filterWidth }, (_, place) => {
    const [row, column] = [Math.floor(place / filterWidth), place % filterWidth];
    const end = [
      row + (outHeight - 1) * strideHeight + 1,
      column + (outWidth - 1) * strideWidth + 1,
    ] as const;
    return tf.stridedSlice(
      padded,
      [0, row, column, 0],
      [images, ...end, channels],
      [1, strideHeight, strideWidth, 1],
    );
  });
}

/** The gradient's pixels at the places of their windows' first pixels, so that a filter meets zeros in between and around. */
function spreadOut(tf: Core, dy: Tensor4D, geometry: backend_util.Conv2DInfo): Tensor4D {
  const { padInfo, filterHeight, filterWidth, inHeight, inWidth, strideHeight, strideWidth } = geometry;
  const [images, rows, columns, channels] = dy.shape;
  const apart = (value: Tensor3D, stride: number): Tensor => {
    if (stride === 1) return value;
    const [outer, inner, length] = value.shape;
    return tf.concat([value, tf.zeros([outer, inner, (stride - 1) * length])], 2);
  };
  const across = apart(tf.reshape(dy, [images * rows, columns, channels]), strideWidth);
  const width = columns * strideWidth;
  const down = apart(tf.reshape(across, [images, rows, width * channels]), strideHeight);
  const both: Tensor4D = tf.reshape(down, [images, rows * strideHeight, width, channels]);
  const [top, left] = [filterHeight - 1 - padInfo.top, filterWidth - 1 - padInfo.left];
  const [height, breadth] = [inHeight + filterHeight - 1, inWidth + filterWidth - 1];
  const padded = tf.pad(both, [
    [0, 0],
    [top, Math.max(0, height - top - rows * strideHeight)],
    [left, Math.max(0, breadth - left - width)],
    [0, 0],
  ]);
  // What lies beyond are the zeros behind the last pixels.
  return tf.slice(padded, [0, 0, 0, 0], [images, height, breadth, channels]);
}
