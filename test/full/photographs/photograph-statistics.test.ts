import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe } from "@trommel/common";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import { PixelSums } from "#gpu-worker/image/statistics/pixel-sums";
import { statisticsToNormalization } from "#gpu-worker/image/statistics/statistics-to-normalization";
import sharp from "sharp";
import { sharedData, sharedPhotographs } from "../../support/images/shared-data.js";

const data = sharedData();
const skip = data === undefined ? "no ../shared/data beside the checkout" : false;
const side = 224;

describe("mean and deviation of real photographs", { skip }, () => {
  it("are those of their resized pixels in [0, 1], by plain sums in float64", async () => {
    assert.ok(data !== undefined);
    const photographs = await sharedPhotographs(data, 4);
    const decode = { ...recipe.parse({ backbones: ["any"] }).decode, side };
    const shards: PixelSums[] = [new PixelSums(), new PixelSums(), new PixelSums()];
    const counts = [0, 0, 0];
    const sums = [0, 0, 0];
    const squareSums = [0, 0, 0];
    for (const [index, file] of photographs.entries()) {
      const decoded = await decodeImage(file, decode);
      assert.ok(decoded.ok);
      shards[index % 3]?.add(decoded.pixels);
      counts[index % 3]! += 1;
      const pixels = await sharp(file)
        .resize(side, side, { fit: "fill", kernel: "lanczos3", fastShrinkOnLoad: false })
        .raw()
        .toBuffer();
      for (const [i, value] of pixels.entries()) {
        sums[i % 3]! += value / 255;
        squareSums[i % 3]! += (value / 255) ** 2;
      }
    }
    const found = statisticsToNormalization(shards.map((shard, i) => shard.statistics(counts[i] ?? 0)));
    assert.equal(found.images, photographs.length);
    for (const channel of [0, 1, 2]) {
      const mean = (sums[channel] ?? NaN) / found.pixels;
      const deviation = Math.sqrt((squareSums[channel] ?? NaN) / found.pixels - mean * mean);
      assert.ok(Math.abs((found.mean[channel] ?? NaN) / 255 - mean) < 1e-8);
      assert.ok(Math.abs((found.deviation[channel] ?? NaN) / 255 - deviation) < 1e-8);
    }
  });
});
