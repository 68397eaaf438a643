import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { viewsRecipe } from "#common/recipe/views-recipe";
import { createEngine } from "#gpu-worker/backbone/engines/create-engine";
import type { EngineBackbone, FeatureExtractor } from "#gpu-worker/backbone/engines/engine";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { zooNetwork } from "#gpu-worker/backbone/zoo/architectures";
import { randomWeights } from "#gpu-worker/backbone/zoo/random-weights";
import { zooLayersFiles } from "#gpu-worker/backbone/zoo/zoo-layers-files";
import { drawViews } from "#gpu-worker/image/views/view";
import { convolutionBackbone, testPictures } from "../../../support/models/small-backbones.js";

const side = 96;
const pictureCount = 7;
const pictureBytes = side * side * 3;
const pixels = testPictures(pictureCount, side);

/** Rows of the pictures, by picture, as bytes. */
async function rowsOf(
  extractor: FeatureExtractor,
  viewCount: number,
  order: readonly number[],
  batchSize: number,
): Promise<Buffer[]> {
  const recipe = viewsRecipe.parse({ count: viewCount });
  const rows: Buffer[] = [];
  for (let start = 0; start < order.length; start += batchSize) {
    const batch = order.slice(start, start + batchSize);
    const views = batch.map((picture) => drawViews(recipe, 1, `picture ${picture}`));
    const features = await extractor.extract({
      pixels: Buffer.concat(
        batch.map((picture) => pixels.subarray(picture * pictureBytes, (picture + 1) * pictureBytes)),
      ),
      imageCount: batch.length,
      affine: Float32Array.from(views.flatMap(({ affine }) => [...affine])),
      colour: Float32Array.from(views.flatMap(({ colour }) => [...colour])),
    });
    const length = (features.length / batch.length) * 4;
    for (const [place, picture] of batch.entries())
      rows[picture] = Buffer.from(features.buffer, features.byteOffset + place * length, length);
  }
  return rows;
}

async function zooBackbone(architecture: string): Promise<EngineBackbone> {
  const network = zooNetwork(architecture, { inputSize: side, pooling: "average" });
  const files = zooLayersFiles(network, randomWeights(network, 3));
  const model = await readLayersModel(files.modelJson, () => Promise.resolve(files.weightsBin));
  const compiled = compileLayers(model, { inputSize: side });
  const { spec } = convolutionBackbone(side, compiled.dimension);
  return { spec, model: compiled.model, layers: null };
}

describe("the rows of a picture on the CPU", () => {
  for (const name of ["small", "efficientnet-b0"]) {
    it(`are the same bits whatever batch it is in, through ${name}`, async () => {
      const backbone = name === "small" ? convolutionBackbone(side, 24) : await zooBackbone(name);
      for (const threads of [1, 2]) {
        const engine = await createEngine({ engine: "onnx", device: "cpu", threads });
        for (const viewCount of [1, 3]) {
          const options = { backbones: [backbone], side, viewCount, colour: false };
          const extractor = await engine.createExtractor(options);
          const order = Array.from({ length: pictureCount }, (_, picture) => picture);
          const expected = await rowsOf(extractor, viewCount, order, 1);
          assert.notDeepEqual(expected[0], expected[1]);
          for (const batchSize of [2, 3, 5]) {
            const found = await rowsOf(extractor, viewCount, order.toReversed(), batchSize);
            for (const picture of order)
              assert.ok(expected[picture]?.equals(found[picture]!), `${picture} of batches of ${batchSize}`);
          }
          await extractor.release();
        }
      }
    });
  }
});
