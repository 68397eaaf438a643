import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  architectureDefaults,
  architectureNames,
  zooNetwork,
  type ZooNetwork,
} from "#gpu-worker/backbone/zoo/architectures";
import { publishedCounts, type ZooTopology } from "../../support/models/zoo-tables.js";

const options = { inputSize: 96, pooling: "average" } as const;

function layerNames(network: ZooNetwork): string[] {
  return (network.modelTopology as unknown as ZooTopology).config.layers.map(({ name }) => name);
}

describe("parameter counts", () => {
  for (const [architecture, count] of Object.entries(publishedCounts)) {
    it(`${architecture} has ${count}, as Keras publishes`, () => {
      const network = zooNetwork(architecture, options);
      const counted = network.weights.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
      assert.equal(counted, count);
      assert.equal(network.parameterCount, count);
    });
  }
});

// Excerpts of what `model.summary()` of the real Keras models prints.
const summaries: Readonly<Record<string, string>> = {
  resnet50: `input_1 conv1_pad conv1_conv conv1_bn conv1_relu pool1_pad pool1_pool conv2_block1_1_conv conv2_block1_1_bn
    conv2_block1_1_relu conv2_block1_2_conv conv2_block1_2_bn conv2_block1_2_relu conv2_block1_0_conv conv2_block1_3_conv
    conv2_block1_0_bn conv2_block1_3_bn conv2_block1_add conv2_block1_out conv2_block2_1_conv`,
  xception: `block2_sepconv1 block2_sepconv1_bn block2_sepconv2_act block2_sepconv2 block2_sepconv2_bn conv2d block2_pool
    batch_normalization add`,
  "inception-v3": `max_pooling2d_1 conv2d_8 batch_normalization_8 activation_8 conv2d_6 conv2d_9 batch_normalization_6
    batch_normalization_9 activation_6 activation_9 average_pooling2d conv2d_5 conv2d_7 conv2d_10 conv2d_11
    batch_normalization_5 batch_normalization_7 batch_normalization_10 batch_normalization_11 activation_5 activation_7
    activation_10 activation_11 mixed0 conv2d_15`,
};

describe("the order of layers", () => {
  for (const [architecture, summary] of Object.entries(summaries)) {
    it(`of ${architecture} is that of Keras's summary`, () => {
      const expected = summary.split(/\s+/);
      const names = layerNames(zooNetwork(architecture, options));
      const start = names.indexOf(expected[0] ?? "");
      assert.deepEqual(names.slice(start, start + expected.length), expected);
    });
  }

  it("leads the weights too, each layer's in Keras's order", () => {
    const { weights } = zooNetwork("xception", options);
    assert.deepEqual(
      weights
        .filter(({ layer }) => /^(conv2d|batch_normalization|block2_sepconv2)$/.test(layer))
        .map(({ layer, name, shape }) => `${layer}/${name} ${shape.join("×")}`),
      [
        "block2_sepconv2/depthwise_kernel 3×3×128×1",
        "block2_sepconv2/pointwise_kernel 1×1×128×128",
        "conv2d/kernel 1×1×64×128",
        ...["gamma", "beta", "moving_mean", "moving_variance"].map(
          (name) => `batch_normalization/${name} 128`,
        ),
      ],
    );
  });
});

describe("architectures by name", () => {
  it("end in the pooling that was asked for", () => {
    for (const [pooling, name] of [
      ["average", "avg_pool"],
      ["max", "max_pool"],
    ] as const) {
      assert.equal(layerNames(zooNetwork("mobilenet-v1-0.25", { ...options, pooling })).at(-1), name);
    }
  });

  it("take any width, rounded as Keras rounds it", () => {
    const filters = (architecture: string, layer: string): number | undefined =>
      zooNetwork(architecture, options)
        .weights.find((weight) => weight.layer === layer)
        ?.shape.at(-1);
    assert.equal(filters("mobilenet-v1-0.3", "conv1"), 9);
    assert.equal(filters("mobilenet-v2-0.3", "Conv1"), 16);
    assert.equal(filters("mobilenet-v2-1.1", "Conv_1"), 1408);
    assert.equal(filters("mobilenet-v2-0.1", "Conv_1"), 1280);
    assert.deepEqual(
      zooNetwork("mobilenet-v2-1.0", options).weights,
      zooNetwork("mobilenet-v2", options).weights,
    );
  });

  it("have the normalisation and size of Keras's weights", () => {
    assert.deepEqual(architectureDefaults("efficientnet-b4"), {
      inputSize: 380,
      normalization: { mean: [123.675, 116.28, 103.53], deviation: [58.395, 57.12, 57.375] },
      channelOrder: "rgb",
    });
    const half = [127.5, 127.5, 127.5];
    for (const [architecture, inputSize] of [
      ["mobilenet-v1-0.5", 224],
      ["mobilenet-v2-1.4", 224],
      ["inception-v3", 299],
      ["xception", 299],
    ] as const) {
      assert.deepEqual(architectureDefaults(architecture), {
        inputSize,
        normalization: { mean: half, deviation: half },
        channelOrder: "rgb",
      });
    }
    // Per RGB channel, like every normalisation; the swap to BGR takes them along.
    assert.deepEqual(architectureDefaults("resnet152"), {
      inputSize: 224,
      normalization: { mean: [123.68, 116.779, 103.939], deviation: [1, 1, 1] },
      channelOrder: "bgr",
    });
  });

  it("are refused with what is legal", () => {
    const refused = (architecture: string, inputSize: number, why: RegExp): void => {
      assert.throws(
        () => zooNetwork(architecture, { ...options, inputSize }),
        (error: { code?: string; message?: string }) =>
          error.code === "invalid-argument" && why.test(error.message ?? ""),
      );
    };
    for (const name of [
      "resnet-50",
      "efficientnet-b8",
      "mobilenet-v3",
      "mobilenet-v2-",
      "resnet50-0.5",
      "",
    ]) {
      refused(name, 224, /efficientnet-b0, .*mobilenet-v2\[-<width>\], .*xception/);
    }
    refused("mobilenet-v2-0", 224, /its width is 0 \(legal: 0\.05 to 4\)/);
    refused("mobilenet-v1-16", 224, /its width is 16/);
    refused("inception-v3", 74, /for an input of 74 pixels \(legal: a whole number from 75\)/);
    refused("xception", 70, /from 71/);
    refused("resnet50", 31, /from 32/);
    refused("resnet50", 224.5, /224\.5/);
    assert.throws(() => architectureDefaults("vgg16"), { code: "invalid-argument" });
    assert.equal(architectureNames.length, 15);
  });
});
