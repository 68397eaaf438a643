import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type Projection, SeededRandom, TrommelError } from "@trommel/common";
import type { Engine } from "#gpu-worker/backbone/engines/engine";
import { createOnnxEngine } from "#gpu-worker/backbone/engines/onnx-engine";
import type { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import type { Flip } from "@trommel/common/recipe";
import { type EmitHead, buildServingGraph } from "#gpu-worker/graph/serving-graph";
import { convolutionBackbone, testPictures } from "../../../support/models/small-backbones.js";

const classCount = 5;
const side = 40;
const images = 3;
// One has the base image's own size, the others are smaller and larger.
const backbones = [
  convolutionBackbone(40, 24),
  convolutionBackbone(32, 16, { channelOrder: "bgr" }),
  convolutionBackbone(56, 20),
];
const dimension = 60;

function random(count: number, seed: number): Float32Array {
  const generator = new SeededRandom(seed);
  return Float32Array.from({ length: count }, () => generator.normal());
}

const projection: Projection = {
  dimension,
  components: 10,
  mean: random(dimension, 1),
  basis: random(dimension * 10, 2),
  singularValues: new Float64Array(10).fill(1),
  scale: 0.37,
  energyKept: 1,
};

function head(featureCount: number): { emit: EmitHead; weights: Float32Array } {
  // Small enough that no probability saturates, which would hide errors.
  const weights = random(featureCount * classCount, 3).map((value) => value / 30);
  return {
    weights,
    emit: (builder, input, count) => {
      assert.equal(count, featureCount);
      const kernel = builder.constant("head", "float32", [featureCount, classCount], weights);
      return builder.node("MatMul", [input, kernel]);
    },
  };
}

let engine: Engine;
before(async () => {
  engine = await createOnnxEngine({ device: "cpu", threads: 1 });
});

/** What the extraction graph yields at the identity, an image a row. */
async function embeddingsOf(pixels: Uint8Array): Promise<number[][]> {
  const extractor = await engine.createExtractor({ backbones, side, viewCount: 1, colour: false });
  const affine = new Float32Array(images * 6).map((_, i) => (i % 6 === 0 || i % 6 === 4 ? 1 : 0));
  const colour = new Float32Array(images * 12);
  const features = await extractor.extract({ pixels, imageCount: images, affine, colour });
  await extractor.release();
  return Array.from({ length: images }, (_, row) => [
    ...features.subarray(row * dimension, (row + 1) * dimension),
  ]);
}

/** The extraction graph at the identity, then projection, head and softmax in float64. */
async function expectedProbabilities(
  pixels: Uint8Array,
  given: Projection | null,
  weights: Float32Array,
): Promise<number[][]> {
  return (await embeddingsOf(pixels)).map((embedding) => {
    let x = embedding;
    if (given !== null) {
      const centred = x.map((value, i) => value - (given.mean[i] ?? NaN));
      x = Array.from({ length: given.components }, (_, j) =>
        centred.reduce((sum, value, i) => sum + value * (given.basis[i * given.components + j] ?? NaN), 0),
      ).map((value) => value * given.scale);
    }
    const logits = Array.from({ length: classCount }, (_, k) =>
      x.reduce((sum, value, i) => sum + value * (weights[i * classCount + k] ?? NaN), 0),
    );
    const exponentials = logits.map((value) => Math.exp(value - Math.max(...logits)));
    return exponentials.map((value) => value / exponentials.reduce((a, b) => a + b, 0));
  });
}

describe("the serving graph", () => {
  for (const given of [projection, null]) {
    it(`equals extraction at the identity ${given === null ? "without" : "with"} a projection, then the head`, async () => {
      const { emit, weights } = head(given?.components ?? dimension);
      const model = buildServingGraph({ backbones, side, projection: given, classCount, emitHead: emit });
      const classifier = await engine.createClassifier({ side, classCount, model, parts: null });
      const pixels = testPictures(images, side);
      const { probabilities, novelty } = await classifier.classify(pixels, images);
      assert.equal(novelty, null);
      const expected = await expectedProbabilities(pixels, given, weights);
      expected.flat().forEach((value, i) => {
        assert.ok(Math.abs((probabilities[i] ?? NaN) - value) < 1e-5, `${i}: ${probabilities[i]} ≠ ${value}`);
      });
      assert.ok(
        probabilities.every((value) => value > 1e-3 && value < 0.999),
        probabilities.join(),
      );
      const alone = await classifier.classify(pixels.subarray(side * side * 3, 2 * side * side * 3), 1);
      assert.deepEqual(alone.probabilities, probabilities.subarray(classCount, 2 * classCount));
      await classifier.release();
    });
  }

  it("tells the novelty of the images themselves as its second output, with and without flips", async () => {
    const { emit } = head(dimension);
    const options = { backbones, side, projection: null, classCount, emitHead: emit };
    // The sum of an embedding stands for its novelty.
    const emitNovelty = (builder: GraphBuilder, embeddings: string) => {
      const ones = builder.constant("ones", "float32", [dimension, 1], new Float32Array(dimension).fill(1));
      return builder.reshape(builder.node("MatMul", [embeddings, ones]), [-1]);
    };
    const pixels = testPictures(images, side);
    const expected = (await embeddingsOf(pixels)).map((row) => row.reduce((sum, value) => sum + value, 0));
    assert.ok(new Set(expected.map((value) => value.toFixed(3))).size === images, expected.join());
    for (const flips of [[], ["horizontal", "both"] as const]) {
      const model = buildServingGraph({ ...options, emitNovelty, flips });
      const classifier = await engine.createClassifier({ side, classCount, model, parts: null });
      const { novelty } = await classifier.classify(pixels, images);
      assert.equal(novelty?.length, images);
      for (const [image, value] of expected.entries())
        assert.ok(Math.abs((novelty?.[image] ?? NaN) - value) < 1e-4 * Math.max(1, Math.abs(value)));
      await classifier.release();
    }
  });

  it("averages the logits of the image and of the flips that are served", async () => {
    const { emit } = head(dimension);
    const options = { backbones, side, projection: null, classCount, emitHead: emit };
    const open = async (flips: readonly Flip[]) =>
      engine.createClassifier({
        ...{ side, classCount, parts: null },
        model: buildServingGraph({ ...options, flips }),
      });
    const alone = await open([]);
    const pixels = testPictures(images, side);
    const flipped = (leftRight: boolean, topBottom: boolean) =>
      pixels.map((_, i) => {
        const [channel, column, line] = [i % 3, Math.floor(i / 3) % side, Math.floor(i / 3 / side)];
        const [picture, row] = [Math.floor(line / side), line % side];
        const [x, y] = [leftRight ? side - 1 - column : column, topBottom ? side - 1 - row : row];
        return pixels[((picture * side + y) * side + x) * 3 + channel] ?? 0;
      });
    const own = (await alone.classify(pixels, images)).probabilities;
    const ofFlips = {
      horizontal: (await alone.classify(flipped(true, false), images)).probabilities,
      vertical: (await alone.classify(flipped(false, true), images)).probabilities,
      both: (await alone.classify(flipped(true, true), images)).probabilities,
    };
    for (const flips of [["horizontal"], ["vertical", "both"], ["both", "horizontal", "vertical"]] as const) {
      const classifier = await open(flips);
      const found = (await classifier.classify(pixels, images)).probabilities;
      const views = [own, ...flips.map((name) => ofFlips[name])];
      for (let image = 0; image < images; image += 1) {
        // Means of logits are geometric means of probabilities, up to their sum.
        const means = Array.from({ length: classCount }, (_, k) =>
          views
            .map((view) => view[image * classCount + k] ?? 0)
            .reduce((product, value) => product * value ** (1 / views.length), 1),
        );
        const sum = means.reduce((a, b) => a + b, 0);
        for (const [k, mean] of means.entries())
          assert.ok(Math.abs((found[image * classCount + k] ?? NaN) - mean / sum) < 1e-5);
      }
      await classifier.release();
    }
    for (const flip of Object.values(ofFlips))
      assert.ok(
        own.some((value, i) => Math.abs(value - (flip[i] ?? 0)) > 1e-3),
        "a flip is another image",
      );
    await alone.release();
  });

  it("refuses a projection of other backbones", () => {
    const emitHead = head(10).emit;
    assert.throws(
      () => buildServingGraph({ backbones: backbones.slice(1), side, projection, classCount, emitHead }),
      (error) =>
        error instanceof TrommelError && error.code === "invalid-argument" && /60.*36/s.test(error.message),
    );
  });
});
