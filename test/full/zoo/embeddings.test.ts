import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { zooNetwork } from "#gpu-worker/backbone/zoo/architectures";
import { zooLayersFiles } from "#gpu-worker/backbone/zoo/zoo-layers-files";
import { hashedNumbers, hashedWeight, type HashedGains } from "../../support/models/hashed-weights.js";
import { relativeDifference, runOnnx } from "../../support/models/layers-reference.js";

interface Golden extends HashedGains {
  readonly architecture: string;
  readonly inputSize: number;
  readonly dimension: number;
  readonly sum: number;
  readonly norm: number;
  /** Spread evenly over the embedding. */
  readonly samples: readonly number[];
}

// Tests run from test/dist; the goldens stay in test/golden.
const goldens = JSON.parse(
  await readFile(new URL("../../../golden/zoo/embeddings.json", import.meta.url), "utf8"),
) as Golden[];

describe("the zoo against PyTorch's structure of the same networks", () => {
  for (const golden of goldens) {
    it(`${golden.architecture} gives what PyTorch gives`, async () => {
      const actual = await embedHashedPicture(golden);
      assert.equal(actual.length, golden.dimension);
      const samples = golden.samples.map(
        (_, index) => actual[Math.floor((index * actual.length) / golden.samples.length)] ?? NaN,
      );
      // Float32 against float64: 4e-6 at most was seen. A padding on the other side makes 1e-3 and more.
      const difference = relativeDifference(Float32Array.from(samples), Float32Array.from(golden.samples));
      assert.ok(difference < 2e-5, `differs by ${difference}`);
      const norm = Math.sqrt(actual.reduce((total, value) => total + value * value, 0));
      assert.ok(Math.abs(norm / golden.norm - 1) < 2e-5, `norm ${norm}, not ${golden.norm}`);
      const sum = actual.reduce((total, value) => total + value, 0);
      assert.ok(Math.abs(sum - golden.sum) < 2e-5 * golden.norm * Math.sqrt(actual.length), `sum ${sum}`);
    });
  }
});

async function embedHashedPicture(golden: Golden): Promise<Float32Array> {
  const { architecture, inputSize } = golden;
  const network = zooNetwork(architecture, { inputSize, pooling: "average" });
  const weights = network.weights.map((weight) => hashedWeight(weight, golden));
  const files = zooLayersFiles(network, weights);
  const model = await readLayersModel(files.modelJson, () => Promise.resolve(files.weightsBin));
  const image = hashedNumbers("image", inputSize * inputSize * 3, -1.5, 1.5);
  return runOnnx(compileLayers(model, { inputSize }).model, image, 1, inputSize);
}
