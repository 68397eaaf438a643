import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { headRecipe, SeededRandom, type Projection } from "@trommel/common";
import { createOnnxEngine } from "#gpu-worker/backbone/engines/onnx-engine";
import { buildHeadGraph } from "#gpu-worker/graph/head-graph";
import {
  emitEnsemble,
  emitStandardization,
  ensembleLogits,
  standardized,
} from "#gpu-worker/head/model/ensemble";
import { softmaxRows } from "#gpu-worker/head/model/predict-head";
import { RowProjector } from "#gpu-worker/linalg/project-rows";

const [dimension, classCount, images, views] = [24, 5, 7, 3];
const head = headRecipe.parse({ type: "linear" });

function random(count: number, seed: number): Float32Array {
  const generator = new SeededRandom(seed);
  return Float32Array.from({ length: count }, () => generator.normal());
}

function ensembleOf(features: number) {
  const heads = [1, 2].map((seed) => ({
    "output.kernel": { shape: [features, classCount], data: random(features * classCount, seed) },
    "output.bias": { shape: [classCount], data: random(classCount, seed + 10) },
  }));
  return { head, heads, temperature: 1.7, ownNetworks: false };
}

/** By the plain functions of heads: logits of every view, their mean over an image's views, and a softmax. */
function expected(features: Float32Array, ensemble: ReturnType<typeof ensembleOf>): Float32Array {
  const logits = ensembleLogits(ensemble, features, views * images);
  const length = images * classCount;
  const mean = Float32Array.from({ length }, (_, at) =>
    [0, 1, 2].reduce((sum, view) => sum + (logits[view * length + at] ?? NaN) / views, 0),
  );
  return softmaxRows(mean, classCount);
}

function assertClose(found: Float32Array, wanted: Float32Array): void {
  assert.equal(found.length, wanted.length);
  for (const [at, value] of found.entries())
    assert.ok(Math.abs(value - (wanted[at] ?? NaN)) < 1e-5, `${at}: ${value} and ${wanted[at]}`);
}

describe("the graph of a model's heads", () => {
  const embeddings = random(views * images * dimension, 5);

  it("standardises, averages heads and views, and gives probabilities", async () => {
    const engine = await createOnnxEngine({ device: "cpu", threads: 1 });
    const standardization = { mean: random(dimension, 6), scale: random(dimension, 7).map(Math.abs) };
    const ensemble = ensembleOf(dimension);
    const graph = buildHeadGraph({
      ...{ dimension, projection: null, classCount, views },
      emitHead: (builder, features) =>
        emitEnsemble(builder, emitStandardization(builder, features, standardization), dimension, ensemble),
    });
    const classifier = await engine.createFeatureClassifier({ classCount, dimension, graph });
    const { probabilities, novelty } = await classifier.classifyFeatures(embeddings, images);
    await classifier.release();
    assert.equal(novelty, null);
    assertClose(probabilities, expected(standardized(embeddings, standardization), ensemble));
  });

  it("gives each head its own part of the embeddings, if it has a network of its own", async () => {
    const engine = await createOnnxEngine({ device: "cpu", threads: 1 });
    const ensemble = { ...ensembleOf(dimension / 2), ownNetworks: true };
    const graph = buildHeadGraph({
      ...{ dimension, projection: null, classCount, views },
      emitHead: (builder, features) => emitEnsemble(builder, features, dimension, ensemble),
    });
    const classifier = await engine.createFeatureClassifier({ classCount, dimension, graph });
    const { probabilities } = await classifier.classifyFeatures(embeddings, images);
    await classifier.release();
    assertClose(probabilities, expected(embeddings, ensemble));
    // The same by heads that take everything, and multiply what is not theirs by zero.
    const whole = {
      ...{ head, temperature: ensemble.temperature, ownNetworks: false },
      heads: ensemble.heads.map((weights, at) => {
        const kernel = new Float32Array(dimension * classCount);
        kernel.set(weights["output.kernel"].data, (at * dimension * classCount) / 2);
        return { ...weights, "output.kernel": { shape: [dimension, classCount], data: kernel } };
      }),
    };
    assertClose(probabilities, expected(embeddings, whole));
  });

  it("projects, and gives a novelty of the first views", async () => {
    const engine = await createOnnxEngine({ device: "cpu", threads: 1 });
    const components = 6;
    const projection: Projection = {
      ...{ dimension, components, mean: random(dimension, 8), basis: random(dimension * components, 9) },
      ...{ singularValues: new Float64Array(components).fill(1), scale: 0.3, energyKept: 1 },
    };
    const ensemble = ensembleOf(components);
    const graph = buildHeadGraph({
      ...{ dimension, projection, classCount, views },
      emitHead: (builder, features) => emitEnsemble(builder, features, components, ensemble),
      // The first dimension of each image, so that it shows whose it is.
      emitNovelty: (builder, input) =>
        builder.reshape(builder.node("Gather", [input, builder.int64s([0])], { axis: 1 }), [-1]),
    });
    const classifier = await engine.createFeatureClassifier({ classCount, dimension, graph });
    const { probabilities, novelty } = await classifier.classifyFeatures(embeddings, images);
    await classifier.release();
    const projector = await RowProjector.create(projection, { threads: 1 });
    const features = await projector.project(embeddings, views * images);
    await projector.release();
    assertClose(probabilities, expected(features, ensemble));
    assert.deepEqual(
      novelty,
      Float32Array.from({ length: images }, (_, image) => embeddings[image * dimension] ?? NaN),
    );
  });
});
