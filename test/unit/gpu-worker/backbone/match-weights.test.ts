import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { matchWeights } from "#gpu-worker/backbone/weights/match-weights";
import { architectureNames, zooNetwork } from "#gpu-worker/backbone/zoo/architectures";
import { layersOf, weightName } from "#gpu-worker/backbone/weights/weight-names";

interface Weight {
  readonly layer: string;
  readonly name: string;
  readonly shape: readonly number[];
}

/** `conv1/kernel 3,3` */
const weights = (...lines: string[]): Weight[] =>
  lines.map((line) => {
    const [path = "", sides = ""] = line.split(" ");
    const [layer = "", name = ""] = path.split("/");
    return { layer, name, shape: sides.split(",").map(Number) };
  });

const pairsOf = (wanted: Weight[], found: Weight[], ordered = true) => {
  const matching = matchWeights(wanted, found, ordered);
  return {
    by: matching.by,
    pairs: matching.pairs.map((pair) => (pair === undefined ? undefined : `${pair.layer}/${pair.name}`)),
    leftOver: matching.leftOver.map(({ layer, name }) => `${layer}/${name}`),
    classifier: matching.classifier,
  };
};

describe("weightName and layersOf", () => {
  it("know Keras's names, old and new", () => {
    const names = [
      "conv1/conv1/kernel:0",
      "conv1_W_1:0",
      "bn_running_std:0",
      "c/depthwise_kernel:0",
      "x/alpha",
    ];
    assert.deepEqual(names.map(weightName), [
      "kernel",
      "kernel",
      "moving_variance",
      "depthwise_kernel",
      "alpha",
    ]);
  });

  it("take a group for a layer unless its weights stand under several names", () => {
    assert.deepEqual(layersOf("bn", ["bn_1/gamma:0", "bn_1/beta:0"]), ["bn", "bn"]);
    assert.deepEqual(layersOf("net", ["m/conv/kernel:0", "m/bn/beta:0"]), ["conv", "bn"]);
    assert.deepEqual(layersOf("conv1", ["conv1_W:0", "conv1_b:0"]), ["conv1", "conv1"]);
  });
});

describe("matchWeights", () => {
  it("pairs numbered layers by rank, never by their numbers, beside given names", () => {
    const wanted = weights("stem/kernel 3", "conv2d/kernel 4", "conv2d_1/kernel 4");
    const found = weights("conv2d_2/kernel 4", "stem/kernel 3", "conv2d_1/kernel 4");
    assert.deepEqual(pairsOf(wanted, found).pairs, ["stem/kernel", "conv2d_1/kernel", "conv2d_2/kernel"]);
    const ten = weights("stem/kernel 3", "conv2d_10/kernel 4", "conv2d_9/kernel 4");
    assert.deepEqual(pairsOf(wanted, ten).pairs, ["stem/kernel", "conv2d_9/kernel", "conv2d_10/kernel"]);
  });

  it("does not guess which numbered layer is missing", () => {
    const wanted = weights("stem/kernel 3", "conv2d/kernel 4", "conv2d_1/kernel 4");
    const { pairs, leftOver } = pairsOf(wanted, weights("stem/kernel 3", "conv2d_1/kernel 4"));
    assert.deepEqual(pairs, ["stem/kernel", undefined, undefined]);
    assert.deepEqual(leftOver, ["conv2d_1/kernel"]);
  });

  it("does not mix names and order: two given names swapped stay swapped", () => {
    const wanted = weights("a/kernel 4", "b/kernel 4", "c/kernel 4");
    assert.deepEqual(pairsOf(wanted, weights("b/kernel 4", "a/kernel 4", "x/kernel 4")), {
      by: "name",
      pairs: ["a/kernel", "b/kernel", undefined],
      leftOver: ["x/kernel"],
      classifier: [],
    });
  });

  it("goes by order where no given name is there, and holds every shape and kind against it", () => {
    const wanted = weights("a/kernel 3,3", "a_bn/gamma 3", "a_bn/beta 3", "b/kernel 3,3");
    const found = weights(
      "conv2d_7/kernel 3,3",
      "batch_normalization/gamma 3",
      "batch_normalization/beta 3",
      "y/kernel 3,3",
    );
    assert.equal(pairsOf(wanted, found).by, "order");
    assert.deepEqual(pairsOf(wanted, found).pairs, [
      "conv2d_7/kernel",
      "batch_normalization/gamma",
      "batch_normalization/beta",
      "y/kernel",
    ]);
    const otherKind = weights("x/kernel 3,3", "y/moving_mean 3", "y/beta 3", "z/kernel 3,3");
    assert.deepEqual(pairsOf(wanted, otherKind).pairs[1], undefined);
    const otherShape = weights("x/kernel 3,3", "y/gamma 3", "y/beta 3", "z/kernel 9");
    assert.deepEqual(pairsOf(wanted, otherShape).pairs[3], undefined);
    assert.equal(pairsOf(wanted, found, false).by, "name");
  });

  it("spares dense layers after all others, and nothing else", () => {
    const wanted = weights("a/kernel 3", "b/kernel 3");
    const top = weights("fc/kernel 3,10", "fc/bias 10");
    assert.deepEqual(pairsOf(wanted, [...wanted, ...top]).classifier, ["fc"]);
    assert.deepEqual(pairsOf(wanted, [...wanted, ...top]).leftOver, []);
    assert.deepEqual(pairsOf(wanted, [...top, ...wanted]).leftOver, ["fc/kernel", "fc/bias"]);
    const normalized = [...wanted, ...top, ...weights("bn/gamma 10")];
    assert.deepEqual(pairsOf(wanted, normalized).leftOver, ["fc/kernel", "fc/bias", "bn/gamma"]);
    const convolution = weights("conv_preds/kernel 1,1,3,10", "conv_preds/bias 10");
    assert.deepEqual(pairsOf(wanted, [...wanted, ...convolution]).classifier, ["conv_preds"]);
    assert.deepEqual(pairsOf(wanted, [...wanted, ...weights("x/kernel 1,1,3,10")]).leftOver, ["x/kernel"]);
  });
});

describe("matchWeights on the zoo", () => {
  const shifted = (layer: string): string =>
    layer.replace(
      /^(conv2d|batch_normalization|depthwise_conv2d|separable_conv2d)(?:_(\d+))?$/,
      (_, stem: string, counter: string | undefined) => `${stem}_${Number(counter ?? 0) + 187}`,
    );

  for (const name of architectureNames) {
    it(`finds every weight of ${name} saved late in a session, and by order under other names`, () => {
      const { weights: wanted } = zooNetwork(name.replace("[-<width>]", ""), {
        inputSize: 96,
        pooling: "average",
      });
      const late = wanted.map((weight) => ({ ...weight, layer: shifted(weight.layer) }));
      const byName = matchWeights(wanted, late, true);
      assert.deepEqual(byName.pairs, late);
      assert.equal(byName.by, "name");
      const renamed = wanted.map((weight) => ({ ...weight, layer: `mine_${weight.layer}` }));
      const byOrder = matchWeights(wanted, renamed, true);
      assert.deepEqual(byOrder.pairs, renamed);
      assert.equal(byOrder.by, "order");
      assert.ok(matchWeights(wanted, wanted.slice(0, -1), true).pairs.includes(undefined));
    });
  }
});
