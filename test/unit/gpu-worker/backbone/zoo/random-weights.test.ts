import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { zooNetwork } from "#gpu-worker/backbone/zoo/architectures";
import { randomWeights } from "#gpu-worker/backbone/zoo/random-weights";
import { zooLayersFiles } from "#gpu-worker/backbone/zoo/zoo-layers-files";

const network = zooNetwork("mobilenet-v1-0.25", { inputSize: 64, pooling: "average" });
const at = (layer: string, name: string): number =>
  network.weights.findIndex((weight) => weight.layer === layer && weight.name === name);

describe("random weights", () => {
  const weights = randomWeights(network, 5);

  it("have the network's shapes", () => {
    assert.deepEqual(
      weights.map(({ length }) => length),
      network.weights.map(({ shape }) => shape.reduce((a, b) => a * b)),
    );
  });

  it("follow from the seed alone, and differ with it", () => {
    assert.deepEqual(randomWeights(network, 5), weights);
    const others = randomWeights(network, 6);
    assert.ok(weights.every((values, index) => values[0] !== others[index]?.[0]));
  });

  it("differ from layer to layer", () => {
    const first = weights[at("conv_pw_7", "kernel")];
    assert.notDeepEqual(first, weights[at("conv_pw_8", "kernel")]);
  });

  it("give kernels the variance 1 / fan-in", () => {
    const kernel = weights[at("conv_pw_13", "kernel")] ?? new Float32Array();
    const variance = kernel.reduce((sum, value) => sum + value ** 2, 0) / kernel.length;
    assert.ok(Math.abs(variance * 256 - 1) < 0.02, `${variance * 256}`);
  });

  it("give every statistic of a normalisation some spread, and variances above zero", () => {
    for (const name of ["gamma", "beta", "moving_mean", "moving_variance"]) {
      const values = weights[at("conv_dw_5_bn", name)] ?? new Float32Array();
      assert.ok(new Set(values).size > 60, name);
      if (name === "moving_variance") assert.ok(values.every((value) => value > 0));
    }
  });

  it("are packed in order, and only when all are there", () => {
    const { modelJson, weightsBin } = zooLayersFiles(network, weights);
    const { weightsManifest } = JSON.parse(Buffer.from(modelJson).toString("utf8")) as {
      weightsManifest: { paths: string[]; weights: { name: string }[] }[];
    };
    assert.equal(weightsManifest[0]?.weights[1]?.name, "conv1_bn/gamma");
    assert.equal(weightsBin.byteLength, network.parameterCount * 4);
    const floats = new Float32Array(weightsBin.buffer, weightsBin.byteOffset);
    const kernelLength = weights[0]?.length ?? 0;
    assert.equal(floats[kernelLength], weights[1]?.[0]);
    assert.throws(() => zooLayersFiles(network, weights.slice(1)), { code: "internal" });
  });
});
