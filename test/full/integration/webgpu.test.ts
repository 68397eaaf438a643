import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError, type Device } from "@trommel/common";
import { viewsRecipe } from "#common/recipe/views-recipe";
import type { EngineBackbone, ViewBatch } from "#gpu-worker/backbone/engines/engine";
import { createEngine } from "#gpu-worker/backbone/engines/create-engine";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { zooNetwork } from "#gpu-worker/backbone/zoo/architectures";
import { randomWeights } from "#gpu-worker/backbone/zoo/random-weights";
import { zooLayersFiles } from "#gpu-worker/backbone/zoo/zoo-layers-files";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { toHalfPrecision } from "#gpu-worker/graph/half-precision";
import { decodeModel, encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import { buildServingGraph } from "#gpu-worker/graph/serving-graph";
import { drawViews } from "#gpu-worker/image/views/view";
import { convolutionBackbone, testPictures, windowBackbone } from "../../support/models/small-backbones.js";
import { offerSoftwareVulkan } from "../../support/process/software-vulkan.js";

/**
 * WebGPU beside the CPU on the graphs that a worker runs, wherever an adapter is found: a GPU's, or the software driver's.
 * A notice would say that some operator was computed on the CPU after all; there must be none.
 */

offerSoftwareVulkan();

const side = 40;
const images = 2;
const pixels = testPictures(images, side);

async function whyAbsent(): Promise<string | false> {
  try {
    await createEngine({ engine: "onnx", device: "webgpu", threads: 1 });
    return false;
  } catch (thrown) {
    assert.ok(thrown instanceof TrommelError && thrown.code === "device-unavailable");
    return thrown.message;
  }
}

async function open(device: Device) {
  const onNotice = (line: string): void => assert.fail(line);
  return await createEngine({ engine: "onnx", device, threads: 1, onNotice });
}

async function features(
  device: Device,
  backbones: readonly EngineBackbone[],
  recipe: Parameters<typeof viewsRecipe.parse>[0],
): Promise<Float32Array> {
  const views = viewsRecipe.parse(recipe);
  const drawn = Array.from({ length: images }, (_, i) => drawViews(views, 7, `picture ${i}`));
  const batch: ViewBatch = {
    pixels,
    imageCount: images,
    affine: Float32Array.from(drawn.flatMap(({ affine }) => [...affine])),
    colour: Float32Array.from(drawn.flatMap(({ colour }) => [...colour])),
  };
  const colour = views.brightness !== 0 || views.contrast !== 0 || views.saturation !== 0;
  const engine = await open(device);
  const extractor = await engine.createExtractor({
    backbones,
    side,
    viewCount: views.count,
    colour,
    // As a worker has it: the first view is the picture itself.
    identityFirst: true,
  });
  try {
    return await extractor.extract(batch);
  } finally {
    await extractor.release();
  }
}

/** EfficientNet-B0 with random weights at a small input: swish, squeeze and excitation, depthwise convolutions, additions. */
async function efficientNet(inputSize: number): Promise<EngineBackbone> {
  const network = zooNetwork("efficientnet-b0", { inputSize, pooling: "average" });
  const files = zooLayersFiles(network, randomWeights(network, 1));
  const layers = await readLayersModel(files.modelJson, () => Promise.resolve(files.weightsBin));
  const { model, dimension } = compileLayers(layers, { inputSize, pooling: "average" });
  return { spec: { ...windowBackbone(inputSize).spec, dimension }, model, layers: null };
}

function assertNear(actual: Float32Array, expected: Float32Array, relative: number): void {
  assert.equal(actual.length, expected.length);
  const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  assert.ok(largest > 0);
  const difference = expected.reduce(
    (max, value, i) => Math.max(max, Math.abs(value - (actual[i] ?? NaN))),
    0,
  );
  assert.ok(difference <= relative * largest, `they differ by ${difference / largest} of the largest`);
}

describe("webgpu beside the CPU", { skip: await whyAbsent() }, () => {
  it("samples the same views, moved and recoloured", async () => {
    const backbones = [windowBackbone(24), windowBackbone(32, { channelOrder: "bgr" })];
    const recipe = {
      count: 7,
      rotation: 30,
      zoom: 0.2,
      horizontalFlip: true,
      saturation: 0.4,
      contrast: 0.2,
    };
    assertNear(await features("webgpu", backbones, recipe), await features("cpu", backbones, recipe), 1e-3);
  });

  it("gives the same embeddings of EfficientNet-B0", async () => {
    const backbones = [await efficientNet(32)];
    const recipe = { count: 1 };
    assertNear(await features("webgpu", backbones, recipe), await features("cpu", backbones, recipe), 1e-3);
  });

  it("gives the same probabilities by a bundle's model", async () => {
    const backbones = [convolutionBackbone(32, 24), convolutionBackbone(side, 16)];
    const classCount = 5;
    const weights = Float32Array.from({ length: 12 * classCount }, (_, i) => Math.sin(i * 3));
    const model = buildServingGraph({
      backbones,
      side,
      classCount,
      projection: {
        dimension: 40,
        components: 12,
        mean: new Float32Array(40).fill(0.1),
        basis: Float32Array.from({ length: 40 * 12 }, (_, i) => Math.cos(i)),
        singularValues: new Float64Array(12).fill(1),
        energyKept: 1,
        scale: 0.5,
      },
      emitHead: (builder, input, features) =>
        builder.node("MatMul", [input, builder.constant("head", "float32", [features, classCount], weights)]),
    });
    const [gpu, cpu] = await Promise.all(
      (["webgpu", "cpu"] as const).map(async (device) => {
        const classifier = await (
          await open(device)
        ).createClassifier({ side, classCount, model, parts: null });
        const { probabilities } = await classifier.classify(pixels, images);
        await classifier.release();
        return probabilities;
      }),
    );
    assertNear(gpu ?? new Float32Array(0), cpu ?? new Float32Array(0), 1e-4);
  });

  it("computes in half precision, or says that the adapter cannot", async (t) => {
    const { spec, model, layers } = convolutionBackbone(32, 24);
    const halved = [{ spec, layers, model: encodeModel(toHalfPrecision(decodeModel(model), "it")) }];
    try {
      const half = await features("webgpu", halved, { count: 2 });
      assertNear(half, await features("cpu", [{ spec, model, layers }], { count: 2 }), 1e-2);
    } catch (thrown) {
      if (!(thrown instanceof TrommelError)) throw thrown;
      assert.equal(thrown.code, "device-unavailable");
      assert.match(thrown.message, /no shader-f16.*precision: fp32/);
      t.diagnostic("this adapter has no shader-f16: only the refusal was tested");
    }
  });

  it("says when an operator has to be computed on the CPU", async () => {
    const { spec } = windowBackbone(24);
    const builder = new GraphBuilder();
    const image = builder.input("image", "float32", ["n", 3, 24, 24]);
    // WebGPU has no determinant.
    const axes = builder.constant("axes", "int64", [2], BigInt64Array.of(2n, 3n));
    const determinant = builder.node("Unsqueeze", [builder.node("Det", [image]), axes]);
    const scaled = builder.node("Mul", [image, determinant]);
    builder.output(
      "embedding",
      "float32",
      ["n", 3 * 24 * 24],
      builder.node("Flatten", [scaled], { axis: 1 }),
    );
    const notices: string[] = [];
    const engine = await createEngine({
      engine: "onnx",
      device: "webgpu",
      threads: 1,
      onNotice: (line) => notices.push(line),
    });
    const backbones = [{ spec: { ...spec, dimension: 3 * 24 * 24 }, model: builder.encode(), layers: null }];
    const extractor = await engine.createExtractor({ backbones, side, viewCount: 1, colour: false });
    await extractor.release();
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? "", /the extraction graph runs partly on the CPU: webgpu/);
  });
});
