import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { viewsRecipe } from "#common/recipe/views-recipe";
import { createEngine } from "#gpu-worker/backbone/engines/create-engine";
import type { ViewBatch } from "#gpu-worker/backbone/engines/engine";
import { type ResolvedDecodeRecipe, decodeImage } from "#gpu-worker/image/decode/decode-image";
import { drawViews } from "#gpu-worker/image/views/view";
import { sharedBackbone, sharedData, sharedPhotographs } from "../../support/images/shared-data.js";

const data = sharedData();
const viewCount = 2;
/** Larger than the networks' input, so that both engines must shrink. */
const side = 256;
const recipe: ResolvedDecodeRecipe = {
  side,
  fit: "squash",
  kernel: "lanczos3",
  background: [255, 255, 255],
  maxBytes: 1 << 24,
  maxPixels: 10_000_000,
};

async function batchOf(files: readonly Uint8Array[]): Promise<ViewBatch> {
  const views = viewsRecipe.parse({ count: viewCount, contrast: 0.3 });
  const pictures = await Promise.all(files.map((file) => decodeImage(file, recipe)));
  const drawn = files.map((_, i) => drawViews(views, 4, `photograph ${i}`));
  return {
    pixels: Buffer.concat(
      pictures.map((picture) => {
        assert.ok(picture.ok);
        return picture.pixels;
      }),
    ),
    imageCount: files.length,
    affine: Float32Array.from(drawn.flatMap(({ affine }) => [...affine])),
    colour: Float32Array.from(drawn.flatMap(({ colour }) => [...colour])),
  };
}

const skip = data === undefined ? "no ../shared/data beside the checkout" : false;

describe("both engines on real photographs and MobileNets", { skip }, () => {
  it("give the same embeddings", async () => {
    assert.ok(data !== undefined);
    const backbones = [
      await sharedBackbone(data, "mobilenet_v1_0.75_224", "global_average_pooling2d_1"),
      await sharedBackbone(data, "mobilenet_v1_1.0_224_to_conv_pw_12", "conv_pw_12_relu"),
    ];
    const batch = await batchOf((await sharedPhotographs(data, 1)).slice(0, 3));
    const features: Float32Array[] = [];
    for (const name of ["onnx", "tfjs"] as const) {
      const engine = await createEngine({ engine: name, device: "cpu", threads: 1 });
      const extractor = await engine.createExtractor({ backbones, side, viewCount, colour: true });
      assert.equal(extractor.dimension, 768 + 1024);
      features.push(await extractor.extract(batch));
      await extractor.release();
    }
    const [onnx = new Float32Array(0), tfjs = new Float32Array(0)] = features;
    assert.equal(onnx.length, 3 * viewCount * 1792);
    const largest = onnx.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    const difference = onnx.reduce((max, value, i) => Math.max(max, Math.abs(value - (tfjs[i] ?? NaN))), 0);
    assert.ok(difference / largest < 1e-4, `relative difference ${difference / largest}`);
    assert.ok(largest > 1, "the networks see something");
  });
});
