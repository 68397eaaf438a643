import { type BackboneSpec, SeededRandom, namedNormalizations } from "@trommel/common";
import type { EngineBackbone } from "#gpu-worker/backbone/engines/engine";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";

type Given = Partial<Pick<BackboneSpec, "normalization" | "channelOrder">>;

function specOf(name: string, inputSize: number, dimension: number, given: Given): BackboneSpec {
  const zeros = "0".repeat(64);
  return {
    formatVersion: 1,
    name,
    hash: zeros,
    modelSha256: zeros,
    dimension,
    inputSize,
    normalization: namedNormalizations.tf,
    channelOrder: "rgb",
    opset: 17,
    parameterCount: 0,
    source: { kind: "onnx", url: "test", sha256: zeros, output: "embedding", pooling: "none" },
    parity: null,
    ...given,
  };
}

/** Its embedding is its input, [3, inputSize, inputSize] flattened: it shows what a network would see. */
export function windowBackbone(inputSize: number, given: Given = {}, opset = 17): EngineBackbone {
  const dimension = 3 * inputSize * inputSize;
  const builder = new GraphBuilder({ opset });
  const image = builder.input("image", "float32", ["n", 3, inputSize, inputSize]);
  builder.output("embedding", "float32", ["n", dimension], builder.node("Flatten", [image], { axis: 1 }));
  return {
    spec: specOf(`window-${inputSize}`, inputSize, dimension, given),
    model: builder.encode(),
    layers: null,
  };
}

/** A small seeded network: two strided convolutions with clipped activations, a depthwise one, mean over the picture. */
export function convolutionBackbone(inputSize: number, dimension: number, given: Given = {}): EngineBackbone {
  const random = new SeededRandom(dimension * 1000 + inputSize);
  const builder = new GraphBuilder();
  const limits = [0, 6].map((value) => builder.constant("limit", "float32", [], Float32Array.of(value)));
  const convolution = (input: string, from: number, to: number, group: number, stride: number) => {
    const count = to * (from / group) * 9;
    const weights = Float32Array.from(
      { length: count },
      () => random.normal() * Math.sqrt((2 * group) / (from * 9)),
    );
    const kernel = builder.constant("kernel", "float32", [to, from / group, 3, 3], weights);
    const attributes = { kernel_shape: [3, 3], strides: [stride, stride], pads: [1, 1, 1, 1], group };
    return builder.node("Clip", [builder.node("Conv", [input, kernel], attributes), ...limits]);
  };
  let value = builder.input("image", "float32", ["n", 3, inputSize, inputSize]);
  value = convolution(value, 3, 16, 1, 2);
  value = convolution(value, 16, 16, 16, 1);
  value = convolution(value, 16, dimension, 1, 2);
  const pooled = builder.node("Flatten", [builder.node("GlobalAveragePool", [value])], { axis: 1 });
  builder.output("embedding", "float32", ["n", dimension], pooled);
  return {
    spec: specOf(`small-${inputSize}`, inputSize, dimension, given),
    model: builder.encode(),
    layers: null,
  };
}

/** Smooth enough that neighbours differ by a few levels, with red, green and blue far apart. */
export function testPictures(count: number, side: number): Uint8Array {
  const random = new SeededRandom(count * 10_000 + side);
  const pixels = new Uint8Array(count * side * side * 3);
  for (let i = 0; i < pixels.length; i += 1) {
    const channel = i % 3;
    const place = Math.floor(i / 3) % (side * side);
    const wave =
      Math.sin(place / side / 3 + channel + i / pixels.length) + Math.cos((place % side) / (3 + channel));
    pixels[i] = Math.max(0, Math.min(255, 40 + 70 * channel + 35 * wave + 20 * random.normal()));
  }
  return pixels;
}
