import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe, type RecipeInput } from "@trommel/common";
import { blocksOf, layersOfModel, trainedLayers } from "@trommel/common/artefacts";
import { zooNetwork } from "#gpu-worker/backbone/zoo/architectures";

/** The layers of an architecture, as its stored model.json tells them. */
function layersOf(architecture: string) {
  const { modelTopology, weights } = zooNetwork(architecture, { inputSize: 96, pooling: "average" });
  const manifest = [{ weights: weights.map(({ layer, name }) => ({ name: `${layer}/${name}` })) }];
  const model = JSON.stringify({ modelTopology, weightsManifest: manifest });
  return layersOfModel(Buffer.from(model), architecture);
}

const tuneOf = (tune: RecipeInput["tune"]) => {
  const parsed = recipe.parse({ backbones: ["net"], tune }).tune;
  if (parsed === null) throw new Error("the recipe tunes nothing");
  return parsed;
};
const kernels = new Set(["Conv2D", "DepthwiseConv2D", "SeparableConv2D"]);

describe("the blocks of a network", () => {
  // Counted in the published tables: the stem and 13 pairs; the stem and 16 residual units; two convolutions, 12 residual modules and
  // two separable convolutions, with four convolutions on shortcuts.
  for (const [architecture, blocks, kernelLayers] of [
    ["mobilenet-v1-0.75", 14, 27],
    ["resnet50", 17, 53],
    ["xception", 16, 40],
  ] as const) {
    it(`of ${architecture} are ${blocks}, with all of its ${kernelLayers} kernels`, () => {
      const found = blocksOf(layersOf(architecture));
      assert.equal(found.length, blocks);
      assert.equal(found.flat().filter(({ className }) => kernels.has(className)).length, kernelLayers);
      assert.deepEqual(found.flat(), layersOf(architecture));
    });
  }

  it("hold a pair of depthwise and pointwise convolution with their normalisations", () => {
    const last =
      blocksOf(layersOf("mobilenet-v1-0.75"))
        .at(-1)
        ?.map(({ name }) => name) ?? [];
    assert.deepEqual(
      last.filter((name) => name.startsWith("conv_")),
      [
        ...["conv_dw_13", "conv_dw_13_bn", "conv_dw_13_relu"],
        ...["conv_pw_13", "conv_pw_13_bn", "conv_pw_13_relu"],
      ],
    );
  });
});

describe("the layers that train", () => {
  const layers = layersOf("mobilenet-v1-0.75");

  it("are the last half, the last blocks, all, or those of the given names", () => {
    const kernelsOf = (blocks: unknown): number => {
      const { trained } = trainedLayers(layers, tuneOf({ blocks } as RecipeInput["tune"]));
      return layers.filter(({ name, className }) => trained.has(name) && kernels.has(className)).length;
    };
    assert.deepEqual(
      ["half", "all", { last: 4 }, ["conv_pw_13", "conv_dw_1"]].map(kernelsOf),
      [14, 27, 8, 2],
    );
    const { trained } = trainedLayers(layers, tuneOf({ blocks: ["conv_dw_1"] }));
    assert.deepEqual([...trained], ["conv_dw_1", "conv_dw_1_bn"]);
  });

  it("have a rate that decays from block to block below the classifier", () => {
    const { rateFactors } = trainedLayers(layers, tuneOf({ blocks: { last: 2 }, layerDecay: 0.5 }));
    const expected = { conv_pw_13: 0.5, conv_dw_13_bn: 0.5, conv_pw_12: 0.25, conv_dw_12: 0.25 };
    for (const [name, factor] of Object.entries(expected)) assert.equal(rateFactors.get(name), factor, name);
    assert.equal(trainedLayers(layers, tuneOf({})).rateFactors.size, 0);
  });

  it("are refused by name or number where the network has no such block", () => {
    assert.throws(() => trainedLayers(layers, tuneOf({ blocks: { last: 15 } })), {
      code: "invalid-argument",
      message: /the network has 14/,
    });
    assert.throws(() => trainedLayers(layers, tuneOf({ blocks: ["conv_pw_13", "block14"] })), {
      code: "not-found",
      message: /cannot tune block14: .* conv_pw_13_bn\. Correct/,
    });
  });
});
