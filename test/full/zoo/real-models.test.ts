import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { weightValues } from "#gpu-worker/backbone/layers/layers-weights";
import { zooNetwork } from "#gpu-worker/backbone/zoo/architectures";
import { zooLayersFiles } from "#gpu-worker/backbone/zoo/zoo-layers-files";
import { relativeDifference, runOnnx, seededValues } from "../../support/models/layers-reference.js";
import { nsfwjsModel } from "../../support/models/nsfwjs-model.js";
import { sharedData } from "../../support/images/shared-data.js";

interface KerasLayer {
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>> & { readonly name: string };
  readonly inbound_nodes: readonly (readonly (readonly [string, ...unknown[]])[])[];
}

/** The first layers that are a functional model, which the models of nsfwjs have inside a Sequential one. */
function functionalLayers(value: unknown): readonly KerasLayer[] | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { class_name, config } = value as { class_name?: string; config?: { layers?: KerasLayer[] } };
  if (class_name === "Model" || class_name === "Functional") return config?.layers;
  for (const child of Object.values(value)) {
    const found = functionalLayers(child);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Settings that decide what a layer computes; Keras writes others beside them. */
const settings = [
  "filters",
  "kernel_size",
  "strides",
  "padding",
  "dilation_rate",
  "depth_multiplier",
  "use_bias",
  "activation",
  "max_value",
  "axis",
  "epsilon",
  "center",
  "scale",
  "pool_size",
];

function described(layer: KerasLayer, rename: (name: string) => string): Record<string, unknown> {
  return {
    name: rename(layer.config.name),
    type: layer.class_name,
    from: (layer.inbound_nodes[0] ?? []).map(([name]) => rename(name)),
    ...Object.fromEntries(
      Object.entries(layer.config)
        // No activation is the linear one.
        .filter(([key, value]) => settings.includes(key) && value !== "linear")
        .map(([key, value]): [string, unknown] => [key, plain(key, value)]),
    ),
  };
}

/** The last axis of a picture has two names, in a list or not. */
function plain(key: string, value: unknown): unknown {
  const flat: unknown = Array.isArray(value) ? (value as unknown[]).flat(2) : value;
  return key === "axis" && JSON.stringify(flat).includes("-1") ? 3 : flat;
}

/** Keras before TensorFlow counts its automatic names from 1. */
function countFromZero(name: string): string {
  const [, stem, number] =
    /^((?:conv2d|batch_normalization|activation|max_pooling2d|average_pooling2d|concatenate))_(\d+)$/.exec(
      name,
    ) ?? [];
  if (stem === undefined) return name;
  return Number(number) === 1 ? stem : `${stem}_${Number(number) - 1}`;
}

describe("the zoo and models that Keras itself has written", () => {
  for (const [model, architecture, inputSize, rename] of [
    ["mobilenet_v2", "mobilenet-v2", 224, (name: string) => name],
    ["inception_v3", "inception-v3", 299, countFromZero],
  ] as const) {
    it(`${architecture} has the layers of nsfwjs's ${model}, in their order`, () => {
      const theirs = functionalLayers(JSON.parse(Buffer.from(nsfwjsModel(model).modelJson).toString("utf8")));
      assert.ok(theirs !== undefined);
      const network = zooNetwork(architecture, { inputSize, pooling: "average" });
      // Ours goes on to the pooling, theirs to a classifier.
      const ours = (functionalLayers(network.modelTopology) ?? []).slice(0, -1);
      assert.ok(ours.length > 150);
      ours.forEach((layer, index) => {
        const original = theirs[index];
        assert.ok(original !== undefined);
        const expected = described(original, rename);
        const actual = described(layer, (name) => name);
        // A setting that the older Keras does not write has its default.
        const both = Object.entries(actual).filter(([key]) => key in expected);
        assert.deepEqual(Object.fromEntries(both), expected);
      });
    });
  }

  it("mobilenet-v1-0.75 embeds with Keras's weights as Keras's own model does", async (test) => {
    const folder = sharedData("backbones/mobilenet_v1_0.75_224");
    if (folder === undefined) {
      test.skip("shared/data/backbones is not there");
      return;
    }
    const inputSize = 224;
    const original = await readLayersModel(await readFile(join(folder, "model.json")), (path) =>
      readFile(join(folder, path)),
    );
    const network = zooNetwork("mobilenet-v1-0.75", { inputSize, pooling: "average" });
    const weights = network.weights.map(({ layer, name, shape }) => {
      const weight = original.layers.get(layer)?.weights.get(name);
      assert.ok(weight !== undefined, `${layer}/${name}`);
      assert.deepEqual(weight.shape, shape);
      return weightValues(weight);
    });
    const files = zooLayersFiles(network, weights);
    const model = await readLayersModel(files.modelJson, () => Promise.resolve(files.weightsBin));
    const images = seededValues(inputSize * inputSize * 3, 9);
    const expected = compileLayers(original, { inputSize, output: "conv_pw_13_relu" }).model;
    const difference = relativeDifference(
      await runOnnx(compileLayers(model, { inputSize }).model, images, 1, inputSize),
      await runOnnx(expected, images, 1, inputSize),
    );
    assert.ok(difference < 1e-6, `differs by ${difference}`);
  });
});
