import type { Tensor4D } from "@tensorflow/tfjs-core";
import type { Tensorflow } from "../../graph/tensorflow.js";

type Core = Tensorflow["tf"];

const kernelName = "MaxPoolGrad";

interface PoolAttributes {
  readonly filterSize: number | [number, number];
  readonly strides: number | [number, number];
  readonly pad: "same" | "valid" | number;
}

interface PoolInputs {
  readonly dy: Tensor4D;
  readonly input: Tensor4D;
}

let isReplaced = false;

/**
 * Replaces the wasm backend's gradient of a max pool, for the whole process: that of 4.22 drops every window whose largest pixel
 * is not above zero. The gradient goes to a window's first largest pixel, as on TensorFlow.js's CPU backend.
 */
export function replaceMaxPoolGradient(tf: Core): void {
  if (isReplaced || tf.getBackend() !== "wasm") return;
  tf.unregisterKernel(kernelName, "wasm");
  tf.registerKernel({
    kernelName,
    backendName: "wasm",
    kernelFunc: ({ inputs, attrs }) =>
      maxPoolGradient(tf, inputs as unknown as PoolInputs, attrs as unknown as PoolAttributes),
  });
  isReplaced = true;
}

function maxPoolGradient(
  tf: Core,
  { dy, input }: PoolInputs,
  { filterSize, strides, pad }: PoolAttributes,
): Tensor4D {
  const pool = tf.backend_util.computePool2DInfo(input.shape, filterSize, strides, 1, pad);
  const { inHeight, inWidth, inChannels } = pool;
  const [pixels, slopes] = [input.dataSync<"float32">(), dy.dataSync<"float32">()];
  const gradient = new Float32Array(pixels.length);
  const ends = (start: number, size: number, length: number) => [
    Math.max(0, start),
    Math.min(length, start + size),
  ];
  let at = 0;
  for (let image = 0; image < pool.batchSize; image += 1) {
    for (let row = 0; row < pool.outHeight; row += 1) {
      const [top = 0, bottom = 0] = ends(
        row * pool.strideHeight - pool.padInfo.top,
        pool.filterHeight,
        inHeight,
      );
      for (let column = 0; column < pool.outWidth; column += 1) {
        const [left = 0, right = 0] = ends(
          column * pool.strideWidth - pool.padInfo.left,
          pool.filterWidth,
          inWidth,
        );
        for (let channel = 0; channel < inChannels; channel += 1) {
          let largest = ((image * inHeight + top) * inWidth + left) * inChannels + channel;
          for (let y = top; y < bottom; y += 1) {
            for (let x = left; x < right; x += 1) {
              const place = ((image * inHeight + y) * inWidth + x) * inChannels + channel;
              if ((pixels[place] as number) > (pixels[largest] as number)) largest = place;
            }
          }
          gradient[largest] = (gradient[largest] as number) + (slopes[at] as number);
          at += 1;
        }
      }
    }
  }
  return tf.tensor4d(gradient, input.shape);
}
