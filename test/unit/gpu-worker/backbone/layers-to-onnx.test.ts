import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import {
  loadTensorflow,
  type Tensorflow,
  type TfLayersModel,
  type TfModelArtifacts,
  type TfSymbolicTensor,
} from "#gpu-worker/graph/tensorflow";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { layersToJson } from "#gpu-worker/backbone/layers/layers-to-json";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import {
  loadReference,
  relativeDifference,
  runOnnx,
  seededValues,
  type LayersSource,
} from "../../../support/models/layers-reference.js";

type Layers = Tensorflow["layers"]["layers"];
type Build = (layers: Layers, input: TfSymbolicTensor) => TfSymbolicTensor;

const apply = (
  layer: { apply(x: TfSymbolicTensor | TfSymbolicTensor[]): unknown },
  ...inputs: TfSymbolicTensor[]
) => layer.apply(inputs.length === 1 && inputs[0] !== undefined ? inputs[0] : inputs) as TfSymbolicTensor;

/** A convolution first, so that the layer under test sees more than three channels. */
const channels = (l: Layers, x: TfSymbolicTensor, filters = 5): TfSymbolicTensor =>
  apply(l.conv2d({ filters, kernelSize: 1 }), x);

const convolutions: Record<string, Build> = {};
for (const padding of ["same", "valid"] as const) {
  for (const strides of [1, 2, 3]) {
    for (const kernelSize of [
      [1, 1],
      [2, 2],
      [3, 3],
      [5, 2],
    ] as [number, number][]) {
      convolutions[`Conv2D ${kernelSize.join("×")} ${padding} stride ${strides}`] = (l, x) =>
        apply(l.conv2d({ filters: 4, kernelSize, strides, padding, activation: "relu" }), x);
    }
  }
  convolutions[`Conv2D ${padding} dilated by 2`] = (l, x) =>
    apply(l.conv2d({ filters: 4, kernelSize: 3, padding, dilationRate: 2 }), x);
  for (const strides of [1, 2] as const) {
    convolutions[`DepthwiseConv2D ${padding} stride ${strides} multiplier 2`] = (l, x) =>
      apply(l.depthwiseConv2d({ kernelSize: 3, strides, padding, depthMultiplier: 2 }), channels(l, x));
    convolutions[`SeparableConv2D ${padding} stride ${strides}`] = (l, x) =>
      apply(
        l.separableConv2d({ filters: 6, kernelSize: 3, strides, padding, activation: "relu" }),
        channels(l, x),
      );
    for (const poolSize of [2, 3] as const) {
      convolutions[`MaxPooling2D ${poolSize} ${padding} stride ${strides}`] = (l, x) =>
        apply(l.maxPooling2d({ poolSize, strides, padding }), channels(l, x));
      convolutions[`AveragePooling2D ${poolSize} ${padding} stride ${strides}`] = (l, x) =>
        apply(l.averagePooling2d({ poolSize, strides, padding }), channels(l, x));
    }
  }
}

const activations = [
  "elu",
  "hardSigmoid",
  "linear",
  "relu",
  "relu6",
  "selu",
  "sigmoid",
  "softmax",
  "softplus",
  "softsign",
  "tanh",
  "swish",
  "mish",
  "gelu",
] as const;

const others: Record<string, Build> = {
  ...Object.fromEntries(
    activations.map((activation): [string, Build] => [
      `Activation ${activation}`,
      (l, x) => apply(l.activation({ activation }), channels(l, x)),
    ]),
  ),
  "BatchNormalization on its own": (l, x) => apply(l.batchNormalization(), x),
  "BatchNormalization without scale and centre": (l, x) =>
    apply(l.batchNormalization({ scale: false, center: false }), channels(l, x)),
  "BatchNormalization behind an activation": (l, x) =>
    apply(l.batchNormalization(), apply(l.conv2d({ filters: 3, kernelSize: 3, activation: "relu" }), x)),
  "BatchNormalization where the convolution has two readers": (l, x) => {
    const conv = channels(l, x);
    return apply(l.add(), conv, apply(l.batchNormalization(), conv));
  },
  "BatchNormalization behind depthwise, separable and dense": (l, x) => {
    const depthwise = apply(
      l.batchNormalization(),
      apply(l.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2 }), x),
    );
    const separable = apply(
      l.batchNormalization(),
      apply(l.separableConv2d({ filters: 4, kernelSize: 3 }), depthwise),
    );
    const pooled = apply(l.globalAveragePooling2d({}), separable);
    return apply(l.batchNormalization(), apply(l.dense({ units: 7 }), pooled));
  },
  "ReLU, LeakyReLU, ELU, ThresholdedReLU": (l, x) =>
    apply(
      l.concatenate(),
      apply(l.reLU({ maxValue: 0.5 }), x),
      apply(l.leakyReLU({ alpha: 0.2 }), x),
      apply(l.elu({}), x),
      apply(l.thresholdedReLU({ theta: 0.3 }), x),
    ),
  "PReLU shared and not": (l, x) =>
    apply(l.concatenate(), apply(l.prelu({ sharedAxes: [1, 2] }), x), apply(l.prelu({}), x)),
  "Softmax layer": (l, x) => apply(l.softmax({ axis: -1 }), channels(l, x)),
  "ZeroPadding2D before a convolution": (l, x) =>
    apply(
      l.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: "valid" }),
      apply(
        l.zeroPadding2d({
          padding: [
            [0, 1],
            [2, 1],
          ],
        }),
        channels(l, x),
      ),
    ),
  "ZeroPadding2D before SAME, a pool, and at the end": (l, x) => {
    const padded = apply(l.zeroPadding2d({ padding: [1, 2] }), channels(l, x));
    const same = apply(l.conv2d({ filters: 5, kernelSize: 3, strides: 2, padding: "same" }), padded);
    const pooled = apply(l.maxPooling2d({ poolSize: 2, strides: 2, padding: "same" }), padded);
    return apply(l.zeroPadding2d({ padding: 1 }), apply(l.add(), same, pooled));
  },
  "ZeroPadding2D before pools of negative numbers": (l, x) => {
    const negative = apply(
      l.zeroPadding2d({ padding: 1 }),
      apply(l.conv2d({ filters: 4, kernelSize: 1 }), x),
    );
    const large = apply(l.zeroPadding2d({ padding: 2 }), x);
    return apply(
      l.concatenate(),
      apply(l.maxPooling2d({ poolSize: 2, strides: 2 }), negative),
      apply(l.averagePooling2d({ poolSize: 2, strides: 2 }), negative),
      apply(
        l.cropping2D({
          cropping: [
            [0, 1],
            [0, 1],
          ],
        }),
        apply(l.maxPooling2d({ poolSize: 2, strides: 2 }), large),
      ),
    );
  },
  Cropping2D: (l, x) =>
    apply(
      l.cropping2D({
        cropping: [
          [1, 2],
          [0, 3],
        ],
      }),
      channels(l, x),
    ),
  "UpSampling2D nearest": (l, x) => apply(l.upSampling2d({ size: [2, 3] }), channels(l, x)),
  "Add, Multiply, Average, Maximum, Minimum": (l, x) => {
    const [a, b, c] = [channels(l, x), channels(l, x), channels(l, x)];
    const parts = [apply(l.add(), a, b), apply(l.multiply(), a, b), apply(l.average(), a, b, c)];
    return apply(l.concatenate(), ...parts, apply(l.maximum(), a, b), apply(l.minimum(), a, b));
  },
  "squeeze and excitation": (l, x) => {
    const wide = channels(l, x, 6);
    const squeezed = apply(l.reshape({ targetShape: [1, 1, 6] }), apply(l.globalAveragePooling2d({}), wide));
    const reduced = apply(l.conv2d({ filters: 2, kernelSize: 1, activation: "swish" }), squeezed);
    return apply(
      l.multiply(),
      wide,
      apply(l.conv2d({ filters: 6, kernelSize: 1, activation: "sigmoid" }), reduced),
    );
  },
  "Concatenate along height": (l, x) => apply(l.concatenate({ axis: 1 }), x, x),
  "Flatten and Dense": (l, x) => apply(l.dense({ units: 6 }), apply(l.flatten(), channels(l, x))),
  "Reshape to an image and back": (l, x) => {
    const [, height = 0, width = 0] = x.shape;
    const image = apply(l.reshape({ targetShape: [Number(width) * 5, Number(height), 1] }), channels(l, x));
    return apply(l.flatten(), apply(l.conv2d({ filters: 2, kernelSize: 3, strides: 2 }), image));
  },
  "Reshape to a sequence, Dense on it, and Flatten": (l, x) => {
    const [, height, width] = x.shape;
    const sequence = apply(l.reshape({ targetShape: [Number(height) * Number(width), 5] }), channels(l, x));
    return apply(l.flatten(), apply(l.dense({ units: 3, activation: "tanh" }), sequence));
  },
  "Permute and Flatten": (l, x) => apply(l.flatten(), apply(l.permute({ dims: [3, 1, 2] }), channels(l, x))),
  "Dense on an image": (l, x) => apply(l.dense({ units: 4 }), x),
  "GlobalMaxPooling2D and Dropout": (l, x) =>
    apply(l.dropout({ rate: 0.5 }), apply(l.globalMaxPooling2d({}), channels(l, x))),
};

describe("compileLayers against TensorFlow.js", () => {
  let tensorflow: Tensorflow;
  before(async () => {
    tensorflow = await loadTensorflow();
  });

  for (const [name, build] of Object.entries({ ...convolutions, ...others })) {
    it(name, async () => {
      for (const size of [8, 11]) await compare(tensorflow, build, size);
    });
  }
});

async function compare({ tf, layers }: Tensorflow, build: Build, size: number): Promise<void> {
  const input = layers.input({ shape: [size, size, 3] });
  const built = layers.model({ inputs: input, outputs: build(layers.layers, input) });
  built.setWeights(
    built.getWeights().map((weight, index) => {
      const values = seededValues(weight.size, 1000 + index);
      // Variances are above zero; every other weight may be anything.
      const isVariance = built.weights[index]?.originalName.endsWith("moving_variance") === true;
      return tf.tensor(isVariance ? values.map((value) => 1.1 + value) : values, weight.shape);
    }),
  );
  const images = seededValues(2 * size * size * 3, size);
  const expected = await predict(tf, built, images, size);
  const source = await saved(built);
  const compiled = compileLayers(await readLayersModel(source.modelJson, source.readFile), {
    inputSize: size,
  });
  const actual = await runOnnx(compiled.model, images, 2, size);
  assert.ok(relativeDifference(actual, expected) < 1e-5, `ONNX at size ${size}`);

  const files = layersToJson(compiled.cut, { inputSize: size, pooling: compiled.pooling });
  const cut = await loadReference({
    modelJson: files.modelJson,
    readFile: () => Promise.resolve(files.weightsBin),
  });
  assert.ok(
    relativeDifference(await predict(tf, cut, images, size), expected) < 1e-6,
    `cut model at size ${size}`,
  );
  cut.dispose();
  built.dispose();
}

/** What the model gives, averaged over the picture where it gives one. */
async function predict(
  tf: Tensorflow["tf"],
  model: TfLayersModel,
  images: Float32Array,
  size: number,
): Promise<Float32Array> {
  const output = tf.tidy(() => {
    const predicted = model.predict(tf.tensor4d(images, [2, size, size, 3]));
    const tensor = Array.isArray(predicted) ? predicted[0] : predicted;
    assert.ok(tensor !== undefined);
    return tensor.rank === 4 ? tf.mean(tensor, [1, 2]) : tensor;
  });
  const values = Float32Array.from(await output.data());
  output.dispose();
  return values;
}

async function saved(model: TfLayersModel): Promise<LayersSource> {
  let artifacts: TfModelArtifacts | undefined;
  await model.save({
    save: (given: TfModelArtifacts) => {
      artifacts = given;
      return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } });
    },
  });
  assert.ok(artifacts !== undefined);
  const weights = artifacts.weightSpecs ?? [];
  const json = {
    modelTopology: artifacts.modelTopology,
    weightsManifest: [{ paths: ["weights.bin"], weights }],
  };
  const bytes = new Uint8Array(artifacts.weightData as ArrayBuffer);
  return { modelJson: Buffer.from(JSON.stringify(json)), readFile: () => Promise.resolve(bytes) };
}
