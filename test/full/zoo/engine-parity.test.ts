import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { architectureDefaults, zooNetwork, type ZooNetwork } from "#gpu-worker/backbone/zoo/architectures";
import { randomWeights } from "#gpu-worker/backbone/zoo/random-weights";
import { zooLayersFiles } from "#gpu-worker/backbone/zoo/zoo-layers-files";
import { loadTensorflow } from "#gpu-worker/graph/tensorflow";
import {
  loadReference,
  relativeDifference,
  runOnnx,
  seededValues,
} from "../../support/models/layers-reference.js";
import { publishedCounts, type ZooTopology } from "../../support/models/zoo-tables.js";

/** Adds every network at its own input size: one to three minutes and 3 GB. */
const all = process.env["TROMMEL_ALL_ARCHITECTURES"] === "1";

interface Case {
  readonly architecture: string;
  readonly inputSize: number;
  readonly pooling: "average" | "max";
}

const cases: Case[] = Object.keys(publishedCounts).map((architecture, index) => ({
  architecture,
  // Odd and even pictures, on the way too.
  inputSize: 75 + 3 * (index % 4),
  pooling: index % 4 === 1 ? "max" : "average",
}));
if (all) {
  for (const architecture of Object.keys(publishedCounts)) {
    const { inputSize } = architectureDefaults(architecture);
    cases.push({ architecture, inputSize, pooling: "average" });
  }
}

describe("the zoo in ONNX Runtime and in TensorFlow.js", () => {
  for (const item of cases) {
    const { architecture, inputSize, pooling } = item;
    it(`${architecture} at ${inputSize}, ${pooling} pooling, random weights`, async (test) => {
      const difference = await compareEngines(item);
      test.diagnostic(`relative difference ${difference.toExponential(1)}`);
    });
  }
});

async function compareEngines({ architecture, inputSize, pooling }: Case): Promise<number> {
  const network = zooNetwork(architecture, { inputSize, pooling });
  const files = zooLayersFiles(network, randomWeights(network, 3));
  const images = pictures(architecture, 2, inputSize);
  const model = await readLayersModel(files.modelJson, () => Promise.resolve(files.weightsBin));
  const onnx = await runOnnx(compileLayers(model, { inputSize }).model, images, 2, inputSize);

  const reference = await loadReference({
    modelJson: Buffer.from(JSON.stringify(reversed(files.modelJson))),
    readFile: () => Promise.resolve(files.weightsBin),
  });
  assert.equal(reference.countParams(), publishedCounts[architecture], "TensorFlow.js counts the same");
  // TensorFlow.js sorts the layers itself, by its own port of Keras.
  assert.deepEqual(
    reference.layers.map(({ name }) => name),
    layersOf(network).map(({ name }) => name),
  );
  const { tf } = await loadTensorflow();
  const output = tf.tidy(() => reference.predict(tf.tensor4d(images, [2, inputSize, inputSize, 3])));
  const tensor = Array.isArray(output) ? output[0] : output;
  assert.ok(tensor !== undefined);
  const expected = Float32Array.from(await tensor.data());
  tensor.dispose();
  reference.dispose();

  const difference = relativeDifference(onnx, expected);
  assert.ok(difference < 1e-4, `the engines differ by ${difference}`);
  assertAlive(expected);
  return difference;
}

/** Finite, of order one, and not the same for every picture: otherwise agreement would mean little. */
function assertAlive(embeddings: Float32Array): void {
  const mean = embeddings.reduce((sum, value) => sum + value * value, 0) / embeddings.length;
  assert.ok(mean > 0.02 && mean < 400, `mean square ${mean}`);
  const half = embeddings.length / 2;
  const apart = relativeDifference(embeddings.subarray(0, half), embeddings.subarray(half));
  assert.ok(apart > 2e-3, `two pictures differ by ${apart}`);
}

function layersOf(network: ZooNetwork): ZooTopology["config"]["layers"] {
  return (network.modelTopology as unknown as ZooTopology).config.layers;
}

/** The same model with its layers listed backwards: their order in the file is nobody's hint. */
function reversed(modelJson: Uint8Array): unknown {
  const json = JSON.parse(Buffer.from(modelJson).toString("utf8")) as { modelTopology: ZooTopology };
  const { config } = json.modelTopology;
  return {
    ...json,
    modelTopology: { ...json.modelTopology, config: { ...config, layers: config.layers.toReversed() } },
  };
}

/** Bytes 0 to 255 in coarse blocks with noise on them, normalised, [N, H, W, 3]. */
function pictures(architecture: string, count: number, size: number): Float32Array {
  const { normalization, channelOrder } = architectureDefaults(architecture);
  const order = channelOrder === "rgb" ? [0, 1, 2] : [2, 1, 0];
  const noise = seededValues(count * size * size * 3, 7);
  const blocks = seededValues(count * 64 * 3, 8);
  return noise.map((value, index) => {
    const channel = index % 3;
    const pixel = Math.floor(index / 3);
    const [image, row, column] = [
      Math.floor(pixel / size ** 2),
      Math.floor(pixel / size) % size,
      pixel % size,
    ];
    const block = image * 64 + Math.floor((row * 8) / size) * 8 + Math.floor((column * 8) / size);
    const level = Math.floor(128 + 96 * (blocks[block * 3 + channel] ?? 0) + 31 * value);
    const source = order[channel] ?? 0;
    return (level - (normalization.mean[source] ?? 0)) / (normalization.deviation[source] ?? 1);
  });
}
