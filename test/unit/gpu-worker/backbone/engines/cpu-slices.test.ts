import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { viewsRecipe } from "#common/recipe/views-recipe";
import type { Engine, EngineBackbone, ViewBatch } from "#gpu-worker/backbone/engines/engine";
import { createOnnxEngine } from "#gpu-worker/backbone/engines/onnx-engine";
import { buildExtractionGraph } from "#gpu-worker/graph/extraction-graph";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { imagesPerRun, sliceOf } from "#gpu-worker/graph/slices";
import { drawViews } from "#gpu-worker/image/views/view";
import { InferenceSession, Tensor } from "onnxruntime-node";
import {
  convolutionBackbone,
  testPictures,
  windowBackbone,
} from "../../../../support/models/small-backbones.js";

let engine: Engine;
before(async () => {
  engine = await createOnnxEngine({ device: "cpu", threads: 1 });
});

function batchOf(side: number, imageCount: number, viewCount: number): ViewBatch {
  const recipe = viewsRecipe.parse({ count: viewCount, rotation: 40, brightness: 0.2 });
  const drawn = Array.from({ length: imageCount }, (_, i) => drawViews(recipe, 3, `image ${i}`));
  return {
    pixels: testPictures(imageCount, side),
    imageCount,
    affine: Float32Array.from(drawn.flatMap(({ affine }) => [...affine])),
    colour: Float32Array.from(drawn.flatMap(({ colour }) => [...colour])),
  };
}

async function extract(
  options: Parameters<Engine["createExtractor"]>[0],
  batch: ViewBatch,
): Promise<Float32Array> {
  const extractor = await engine.createExtractor(options);
  const features = await extractor.extract(batch);
  await extractor.release();
  return features;
}

/** One run of the graph for the whole batch: no slices, no parts. */
async function extractAtOnce(
  backbones: readonly EngineBackbone[],
  side: number,
  viewCount: number,
  batch: ViewBatch,
): Promise<Float32Array> {
  const options = { backbones, side, viewCount, colour: false, wholeBatch: true };
  const session = await InferenceSession.create(buildExtractionGraph(options));
  const { imageCount } = batch;
  const results = await session.run({
    pixels: new Tensor("uint8", batch.pixels, [imageCount, side, side, 3]),
    affine: new Tensor("float32", batch.affine, [imageCount * viewCount, 2, 3]),
    colour: new Tensor("float32", batch.colour, [imageCount * viewCount, 3, 4]),
  });
  const features = Float32Array.from(results["features"]?.data as Float32Array);
  await session.release();
  return features;
}

/** The picture's mean doubled, by a function of the model's own and an operator of ONNX Runtime's domain. */
function backboneWithFunction(inputSize: number): EngineBackbone {
  const builder = new GraphBuilder();
  const image = builder.input("image", "float32", ["n", 3, inputSize, inputSize]);
  const pooled = builder.node("Flatten", [builder.node("GlobalAveragePool", [image])], { axis: 1 });
  builder.claim("doubled");
  builder.addNodes([{ opType: "Double", domain: "own", input: [pooled], output: ["doubled"], name: "call" }]);
  builder.output("embedding", "float32", ["n", 3], builder.node("Relu", ["doubled"]));
  builder.addFunctions([
    {
      name: "Double",
      domain: "own",
      input: ["x"],
      output: ["y"],
      node: [{ opType: "Add", input: ["x", "x"], output: ["y"], name: "sum" }],
      opsetImport: [{ domain: "", version: 17 }],
    },
  ]);
  builder.importDomain("own", 1);
  return {
    ...windowBackbone(inputSize),
    spec: { ...windowBackbone(inputSize).spec, dimension: 3 },
    model: builder.encode(),
  };
}

describe("slices on the CPU", () => {
  it("are two pictures of 224 pixels, one larger one, or more smaller ones, and divide the views evenly", () => {
    assert.deepEqual(
      [64, 112, 224, 225, 380].map((size) => imagesPerRun(size, 1)),
      [24, 8, 2, 1, 1],
    );
    assert.deepEqual(
      [6, 2, 1].map((views) => imagesPerRun(112, views)),
      [1, 4, 8],
    );
    assert.deepEqual(
      [1, 2, 5, 6, 7, 8].map((views) => sliceOf(views, 224)),
      [1, 2, 1, 2, 1, 2],
    );
    assert.deepEqual(
      [6, 10, 12].map((views) => sliceOf(views, 112)),
      [6, 5, 6],
    );
  });

  it("give the rows of the whole batch, in order, for backbones of several sizes", async () => {
    const backbones = [
      convolutionBackbone(160, 24),
      convolutionBackbone(40, 16),
      convolutionBackbone(230, 8),
    ];
    assert.deepEqual(
      backbones.map(({ spec }) => sliceOf(6, spec.inputSize)),
      [3, 6, 1],
    );
    const batch = batchOf(160, 3, 6);
    const sliced = await extract({ backbones, side: 160, viewCount: 6, colour: false }, batch);
    const whole = await extractAtOnce(backbones, 160, 6, batch);
    assert.equal(sliced.length, 3 * 6 * 48);
    const worst = sliced.reduce((max, value, i) => Math.max(max, Math.abs(value - whole[i]!)), 0);
    assert.ok(worst < 1e-6 * Math.max(...whole), `off by ${worst}`);
    assert.ok(new Set(whole).size > whole.length / 4, "the features say something");
  });

  it("hold networks with functions of their own", async () => {
    const backbones = [backboneWithFunction(230)];
    const batch = batchOf(40, 2, 2);
    const whole = await extractAtOnce(backbones, 40, 2, batch);
    assert.deepEqual(await extract({ backbones, side: 40, viewCount: 2, colour: false }, batch), whole);
  });
});

describe("an extractor whose view 0 is the identity", () => {
  const viewCount = 3;
  const identityFirst = true;

  it("gives the picture itself there, and the other views as ever", async () => {
    const backbones = [windowBackbone(32), windowBackbone(20, { channelOrder: "bgr" })];
    for (const colour of [false, true]) {
      const options = { backbones, side: 32, viewCount, colour };
      const batch = batchOf(32, 2, viewCount);
      const sampled = await extract(options, batch);
      const features = await extract({ ...options, identityFirst }, batch);
      const width = features.length / 6;
      for (let row = 0; row < 6; row += 1) {
        const [a, b] = [features, sampled].map((all) => all.subarray(row * width, (row + 1) * width));
        if (row % viewCount !== 0) assert.deepEqual(a, b);
        const worst = a!.reduce((max, value, i) => Math.max(max, Math.abs(value - b![i]!)), 0);
        assert.ok(worst < 1e-5, `row ${row} is off by ${worst}`);
      }
      const plane = Float32Array.from({ length: 32 * 32 }, (_, i) => (batch.pixels[i * 3]! - 127.5) / 127.5);
      const red = features.subarray(0, 32 * 32);
      const off = red.reduce((max, value, i) => Math.max(max, Math.abs(value - plane[i]!)), 0);
      assert.ok(off < 1e-6, `the identity is off by ${off}`);
    }
  });

  it("needs no other view", async () => {
    const options = { backbones: [windowBackbone(32)], side: 32, viewCount: 1, colour: false };
    const batch = batchOf(32, 5, 1);
    const sampled = await extract(options, batch);
    const features = await extract({ ...options, identityFirst }, batch);
    const worst = features.reduce((max, value, i) => Math.max(max, Math.abs(value - sampled[i]!)), 0);
    assert.ok(worst < 1e-5, `off by ${worst}`);
  });

  it("refuses another matrix there", async () => {
    const options = { backbones: [windowBackbone(32)], side: 32, viewCount, colour: false, identityFirst };
    const batch = batchOf(32, 2, viewCount);
    batch.affine[viewCount * 6 + 2] = 0.25;
    await assert.rejects(
      extract(options, batch),
      (thrown) =>
        thrown instanceof TrommelError && /view 0 of image 1 is \[1, 0, 0.25, 0, 1, 0\]/.test(thrown.message),
    );
  });
});
