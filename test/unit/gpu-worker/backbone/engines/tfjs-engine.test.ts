import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type Projection, SeededRandom, TrommelError, namedNormalizations } from "@trommel/common";
import { viewsRecipe } from "#common/recipe/views-recipe";
import { createEngine } from "#gpu-worker/backbone/engines/create-engine";
import type { Engine, EngineBackbone, ViewBatch } from "#gpu-worker/backbone/engines/engine";
import { sampleView } from "#gpu-worker/backbone/engines/view-sampling";
import type { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { buildServingGraph } from "#gpu-worker/graph/serving-graph";
import { drawViews } from "#gpu-worker/image/views/view";
import { bilinearAt } from "../../../../support/images/bilinear.js";
import { twofoldBackbone } from "../../../../support/models/layers-backbone.js";
import { convolutionBackbone, testPictures } from "../../../../support/models/small-backbones.js";

const side = 40;
const images = 4;
const viewCount = 3;

let onnx: Engine;
let tfjs: Engine;
let backbones: EngineBackbone[];
before(async () => {
  onnx = await createEngine({ engine: "onnx", device: "cpu", threads: 1 });
  tfjs = await createEngine({ engine: "tfjs", device: "cpu", threads: 1 });
  backbones = [
    await twofoldBackbone(40, 12),
    await twofoldBackbone(28, 20, { channelOrder: "bgr", normalization: namedNormalizations.torch }),
  ];
});

/** The sum of each image's projected features, from its embedding. */
function emitProjectedSum(builder: GraphBuilder, embeddings: string, of: Projection): string {
  const { dimension, components, mean, basis, scale } = of;
  const sums = Float32Array.from({ length: dimension }, (_, i) =>
    basis.subarray(i * components, (i + 1) * components).reduce((sum, value) => sum + scale * value, 0),
  );
  const centred = builder.node("Sub", [
    embeddings,
    builder.constant("centre", "float32", [1, dimension], mean),
  ]);
  const kernel = builder.constant("sums", "float32", [dimension, 1], sums);
  return builder.reshape(builder.node("MatMul", [centred, kernel]), [-1]);
}

function batch(): ViewBatch {
  const recipe = viewsRecipe.parse({
    count: viewCount,
    rotation: 60,
    shiftX: 0.3,
    brightness: 0.4,
    saturation: 0.5,
  });
  const views = Array.from({ length: images }, (_, i) => drawViews(recipe, 2, `image ${i}`));
  return {
    pixels: testPictures(images, side),
    imageCount: images,
    affine: Float32Array.from(views.flatMap(({ affine }) => [...affine])),
    colour: Float32Array.from(views.flatMap(({ colour }) => [...colour])),
  };
}

/** Largest difference over the largest magnitude. */
function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  assert.equal(actual.length, expected.length);
  const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return expected.reduce((max, value, i) => Math.max(max, Math.abs(value - (actual[i] ?? NaN))), 0) / largest;
}

describe("the tfjs engine", () => {
  it("samples as the definition does", () => {
    const pixels = testPictures(1, 19);
    const affine = Float32Array.of(1.3, -0.4, 0.5, 0.7, 0.8, -0.9);
    const contract = { inputSize: 23, normalization: namedNormalizations.none, channelOrder: "rgb" as const };
    const out = new Float32Array(23 * 23 * 3);
    sampleView({ pixels, side: 19, affine, colour: null }, contract, out);
    for (let i = 0; i < 23 * 23; i += 1) {
      const expected = bilinearAt(pixels, 19, affine, 23, i % 23, Math.floor(i / 23));
      expected.forEach((value, c) => {
        assert.ok(Math.abs((out[i * 3 + c] ?? NaN) - value) < 1e-4);
      });
    }
  });

  it("agrees with the onnx engine on every view, with and without colour", async () => {
    for (const colour of [true, false]) {
      const [expected, actual] = await Promise.all(
        [onnx, tfjs].map(async (engine) => {
          const extractor = await engine.createExtractor({ backbones, side, viewCount, colour });
          assert.equal(extractor.dimension, 32);
          const features = await extractor.extract(batch());
          await extractor.release();
          return features;
        }),
      );
      assert.ok(expected !== undefined && actual !== undefined);
      const difference = relativeDifference(actual, expected);
      assert.ok(difference < 1e-5, `relative difference ${difference}`);
    }
  });

  it("agrees with the onnx engine on probabilities, novelty and embeddings", async () => {
    const random = new SeededRandom(9);
    const numbers = (count: number) => Float32Array.from({ length: count }, () => random.normal());
    const projection: Projection = {
      dimension: 32,
      components: 6,
      mean: numbers(32),
      basis: numbers(32 * 6),
      singularValues: new Float64Array(6),
      scale: 0.5,
      energyKept: 1,
    };
    const classCount = 4;
    const weights = numbers(6 * classCount);
    const novelty = (features: Float32Array) =>
      Float32Array.from({ length: features.length / 6 }, (_, row) =>
        features.subarray(row * 6, row * 6 + 6).reduce((sum, value) => sum + value, 0),
      );
    const headLogits = (features: Float32Array, rows: number) =>
      Float32Array.from({ length: rows * classCount }, (_, i) => {
        const row = features.subarray(Math.floor(i / classCount) * 6, Math.floor(i / classCount) * 6 + 6);
        return row.reduce(
          (sum, value, j) => sum + value * (weights[j * classCount + (i % classCount)] ?? NaN),
          0,
        );
      });
    const pixels = testPictures(images, side);
    for (const flips of [[], ["horizontal", "vertical", "both"] as const]) {
      const flipped = {
        horizontal: [-1, 0, 0, 0, 1, 0],
        vertical: [1, 0, 0, 0, -1, 0],
        both: [-1, 0, 0, 0, -1, 0],
      };
      const matrices = [[1, 0, 0, 0, 1, 0], ...flips.map((flip) => flipped[flip])];
      const views = matrices.map((matrix) => Float32Array.from(matrix));
      const prepared = (features: Float32Array) => features;
      const parts = { backbones, projection, prepared, headLogits, novelty, views };
      const model = buildServingGraph({
        ...{ backbones, side, projection, classCount, flips },
        emitHead: (builder, input) =>
          builder.node("MatMul", [input, builder.constant("head", "float32", [6, classCount], weights)]),
        emitNovelty: (builder, embeddings) => emitProjectedSum(builder, embeddings, projection),
      });
      const options = { side, classCount, model, parts };
      const [first, second] = [await onnx.createClassifier(options), await tfjs.createClassifier(options)];
      const expected = await first.classify(pixels, images);
      const found = await second.classify(pixels, images);
      assert.ok(relativeDifference(found.probabilities, expected.probabilities) < 1e-4);
      assert.ok(new Set(expected.probabilities).size > 4);
      assert.ok(found.novelty !== null && expected.novelty !== null);
      assert.ok(relativeDifference(found.novelty, expected.novelty) < 1e-4);
      await first.release();
      await second.release();
      for (const [vector, dimension] of [
        ["raw", 32],
        ["projected", 6],
      ] as const) {
        const embedding = { vector, dimension, next: "projection", views: views.length } as const;
        const [ofGraph, ofParts] = await Promise.all(
          [onnx, tfjs].map(async (engine) => {
            const classifier = await engine.createClassifier({ ...options, embedding });
            const answers = await classifier.classify(pixels, images);
            await classifier.release();
            return answers;
          }),
        );
        assert.ok(ofGraph?.embeddings != null && ofParts?.embeddings != null);
        assert.equal(ofGraph.embeddings.length, images * dimension);
        assert.ok(relativeDifference(ofGraph.embeddings, ofParts.embeddings) < 1e-4);
        assert.deepEqual(ofGraph.probabilities, expected.probabilities);
      }
    }
  });

  it("reports what computes, and refuses what it cannot have", async () => {
    assert.equal(tfjs.device.provider, "wasm");
    const refuses = (device: "webgpu" | "cuda") =>
      assert.rejects(
        createEngine({ engine: "tfjs", device, threads: 1 }),
        (error) =>
          error instanceof TrommelError && ["device-unavailable", "invalid-argument"].includes(error.code),
      );
    await refuses("webgpu");
    await refuses("cuda");
    const onnxOnly = [convolutionBackbone(32, 8)];
    await assert.rejects(
      tfjs.createExtractor({ backbones: onnxOnly, side, viewCount, colour: false }),
      (error) => error instanceof TrommelError && error.code === "unsupported",
    );
    const options = { side, classCount: 2, model: new Uint8Array(0), parts: null };
    await assert.rejects(tfjs.createClassifier(options), TrommelError);
  });
});
