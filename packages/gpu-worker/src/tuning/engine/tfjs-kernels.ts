import type { backend_util, KernelFunc, Tensor, Tensor2D, Tensor4D } from "@tensorflow/tfjs-core";
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

/** The wasm backend's own one takes eight times as long as this convolution does. */
const slowKernel = "Conv2DBackpropInput";
let isReplaced = false;

/**
 * Registers the kernels of convolutions' gradients that the running backend lacks, made of operations that it has. The wasm
 * backend has only one of the four, and that one is replaced. Registration holds for the whole process.
 */
export function addMissingKernels(tf: Core): void {
  const backendName = tf.getBackend();
  if (backendName === "wasm" && !isReplaced) {
    tf.unregisterKernel(slowKernel, backendName);
    isReplaced = true;
  }
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
    const gradient: Tensor2D = tf.reshape(dy as Tensor4D, [-1, geometry.outChannels]);
    const places = Array.from({ length: geometry.filterHeight * geometry.filterWidth }, (_, place) => place);
    const products = places.map((place) =>
      tf.matMul(tf.transpose(windowOf(tf, x as Tensor4D, geometry, place)), gradient),
    );
    return tf.reshape(tf.stack(products), attributes.filterShape);
  },
  /** A convolution of the gradient, with zeros between its pixels, by the filter turned around. */
  Conv2DBackpropInput: (tf, { dy, filter }, attributes) => {
    const geometry = geometryOf(tf, attributes.inputShape, (filter as Tensor4D).shape, attributes);
    const turned = tf.transpose(tf.reverse(filter as Tensor4D, [0, 1]), [0, 1, 3, 2]);
    return tf.conv2d(spreadOut(tf, dy as Tensor4D, geometry), turned, 1, "valid");
  },
  DepthwiseConv2dNativeBackpropFilter: (tf, { x, dy }, attributes) => {
    const geometry = geometryOf(tf, (x as Tensor4D).shape, attributes.filterShape, attributes);
    const [height, width, channels, multiplier] = attributes.filterShape;
    const outs = channels * multiplier;
    const slopes = (dy as Tensor4D).dataSync<"float32">();
    const sums = new Float64Array(height * width * outs);
    for (let place = 0; place < height * width; place += 1) {
      const window = windowOf(tf, x as Tensor4D, geometry, place).dataSync<"float32">();
      for (let row = 0; row < slopes.length / outs; row += 1) {
        for (let channel = 0; channel < channels; channel += 1) {
          const pixel = window[row * channels + channel] as number;
          for (let out = channel * multiplier; out < (channel + 1) * multiplier; out += 1) {
            sums[place * outs + out]! += pixel * (slopes[row * outs + out] as number);
          }
        }
      }
    }
    return tf.tensor4d(Float32Array.from(sums), attributes.filterShape);
  },
  /** As for a plain convolution; output channel c · multiplier + q belongs to input channel c. */
  DepthwiseConv2dNativeBackpropInput: (tf, { dy, filter }, attributes) => {
    const { shape } = filter as Tensor4D;
    const spread = spreadOut(tf, dy as Tensor4D, geometryOf(tf, attributes.inputShape, shape, attributes));
    const [, rows, columns] = spread.shape;
    const [height, width, channels, multiplier] = shape;
    const turned = tf.reverse(filter as Tensor4D, [0, 1]);
    if (multiplier === 1) return tf.depthwiseConv2d(spread, turned, 1, "valid");
    const parts = Array.from({ length: multiplier }, (_, q) => {
      const all = tf.reshape(spread, [-1, channels, multiplier]);
      const own: Tensor4D = tf.reshape(tf.slice(all, [0, 0, q], [-1, -1, 1]), [-1, rows, columns, channels]);
      const part = tf.slice(turned, [0, 0, 0, q], [height, width, channels, 1]);
      return tf.depthwiseConv2d(own, part, 1, "valid");
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

/** The pixels that one place of the filter meets, zeros outside the map: [N · outHeight · outWidth, C]. */
function windowOf(tf: Core, x: Tensor4D, geometry: backend_util.Conv2DInfo, place: number): Tensor2D {
  const { batchSize, outHeight, outWidth, inChannels } = geometry;
  const pixels = x.dataSync<"float32">();
  const window = new Float32Array(batchSize * outHeight * outWidth * inChannels);
  forEachMeeting(geometry, place, (input, output) => {
    const from = input * inChannels;
    window.set(pixels.subarray(from, from + inChannels), output * inChannels);
  });
  return tf.tensor2d(window, [batchSize * outHeight * outWidth, inChannels]);
}

/** @param onMeeting takes a pixel of the input and the one of the output for which this place of the filter meets it */
function forEachMeeting(
  geometry: backend_util.Conv2DInfo,
  place: number,
  onMeeting: (input: number, output: number) => void,
): void {
  const { batchSize, inHeight, inWidth, outHeight, outWidth, padInfo, filterWidth } = geometry;
  const [down, across] = [
    Math.floor(place / filterWidth) - padInfo.top,
    (place % filterWidth) - padInfo.left,
  ];
  for (let image = 0; image < batchSize; image += 1) {
    for (let row = 0; row < outHeight; row += 1) {
      const y = row * geometry.strideHeight + down;
      if (y < 0 || y >= inHeight) continue;
      for (let column = 0; column < outWidth; column += 1) {
        const x = column * geometry.strideWidth + across;
        if (x < 0 || x >= inWidth) continue;
        onMeeting((image * inHeight + y) * inWidth + x, (image * outHeight + row) * outWidth + column);
      }
    }
  }
}

/**
 * The gradient's pixels at the places of their windows' first pixels, with zeros between and around them, as far as a filter that
 * reaches every pixel of the input sees: [N, inHeight + filterHeight - 1, inWidth + filterWidth - 1, O].
 */
function spreadOut(tf: Core, dy: Tensor4D, geometry: backend_util.Conv2DInfo): Tensor4D {
  const { padInfo, filterHeight, filterWidth, inHeight, inWidth, strideHeight, strideWidth } = geometry;
  const [images, rows, columns, channels] = dy.shape;
  const [top, left] = [filterHeight - 1 - padInfo.top, filterWidth - 1 - padInfo.left];
  const [height, width] = [inHeight + filterHeight - 1, inWidth + filterWidth - 1];
  if (height === rows && width === columns && top === 0 && left === 0) return dy;
  const slopes = dy.dataSync<"float32">();
  const spread = new Float32Array(images * height * width * channels);
  for (let pixel = 0; pixel < images * rows * columns; pixel += 1) {
    const image = Math.floor(pixel / (rows * columns));
    const row = top + (Math.floor(pixel / columns) % rows) * strideHeight;
    const column = left + (pixel % columns) * strideWidth;
    const own = slopes.subarray(pixel * channels, (pixel + 1) * channels);
    spread.set(own, ((image * height + row) * width + column) * channels);
  }
  return tf.tensor4d(spread, [images, height, width, channels]);
}
