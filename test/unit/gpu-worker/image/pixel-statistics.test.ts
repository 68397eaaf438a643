import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pixelStatistics, recipe, SeededRandom, TrommelError, type PixelStatistics } from "@trommel/common";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import { PixelSums } from "#gpu-worker/image/statistics/pixel-sums";
import { statisticsToNormalization } from "#gpu-worker/image/statistics/statistics-to-normalization";
import sharp from "sharp";

const side = 24;
const decode = { ...recipe.parse({ backbones: ["any"] }).decode, side };

/** RGB noise of its own level in every channel, side × side. */
function drawPixels(seed: number): Uint8Array {
  const random = new SeededRandom(seed);
  return Uint8Array.from({ length: side * side * 3 }, (_, i) =>
    Math.round(random.uniform([0, 40, 200][i % 3] ?? 0, [255, 90 + seed, 255][i % 3] ?? 0)),
  );
}

const drawn = Array.from({ length: 7 }, (_, seed) => drawPixels(seed));

function statisticsOf(pictures: readonly Uint8Array[]): PixelStatistics {
  const sums = new PixelSums();
  for (const pixels of pictures) sums.add(pixels);
  return sums.statistics(pictures.length);
}

/** Two passes in float64 over all values of a channel. */
function byHand(pictures: readonly Uint8Array[], channel: number): { mean: number; deviation: number } {
  const values = pictures.flatMap((pixels) => [...pixels].filter((_, i) => i % 3 === channel));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) };
}

describe("statistics of pixels", () => {
  it("are those of pictures that were stored as PNG at the base image's own size", async () => {
    const sums = new PixelSums();
    for (const pixels of drawn) {
      const png = await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
        .png()
        .toBuffer();
      const decoded = await decodeImage(png, decode);
      assert.ok(decoded.ok);
      sums.add(decoded.pixels);
    }
    const { mean, deviation, images, pixels } = statisticsToNormalization([sums.statistics(drawn.length)]);
    assert.equal(images, drawn.length);
    assert.equal(pixels, drawn.length * side * side);
    for (const channel of [0, 1, 2]) {
      const expected = byHand(drawn, channel);
      assert.ok(Math.abs((mean[channel] ?? NaN) - expected.mean) < 1e-11, `mean ${channel}`);
      assert.ok(Math.abs((deviation[channel] ?? NaN) - expected.deviation) < 1e-11, `deviation ${channel}`);
    }
  });

  it("count the canvas around a letterboxed picture, for the network sees it", async () => {
    const half = drawn.map((pixels) => pixels.subarray(0, pixels.length / 2));
    const background: [number, number, number] = [10, 20, 30];
    const sums = new PixelSums();
    for (const pixels of half) {
      const png = await sharp(pixels, { raw: { width: side, height: side / 2, channels: 3 } })
        .png()
        .toBuffer();
      const decoded = await decodeImage(png, { ...decode, fit: "letterbox", background });
      assert.ok(decoded.ok);
      sums.add(decoded.pixels);
    }
    const { mean, deviation } = statisticsToNormalization([sums.statistics(half.length)]);
    const canvas = Uint8Array.from({ length: (side * side * 3) / 2 }, (_, i) => background[i % 3] ?? 0);
    for (const channel of [0, 1, 2]) {
      const expected = byHand([...half, ...half.map(() => canvas)], channel);
      assert.ok(Math.abs((mean[channel] ?? NaN) - expected.mean) < 1e-11);
      assert.ok(Math.abs((deviation[channel] ?? NaN) - expected.deviation) < 1e-11);
    }
  });

  it("do not depend on the order of the pictures or on how they are cut into shards", () => {
    const whole = statisticsToNormalization([statisticsOf(drawn)]);
    for (const size of [1, 2, 3, 5]) {
      const shuffled = [...drawn].reverse();
      const shards: PixelStatistics[] = [];
      for (let at = 0; at < shuffled.length; at += size)
        shards.push(statisticsOf(shuffled.slice(at, at + size)));
      assert.deepEqual(statisticsToNormalization(shards), whole);
    }
  });

  it("ignore shards without a readable picture", () => {
    const some = statisticsOf(drawn);
    assert.deepEqual(statisticsToNormalization([statisticsOf([]), some]), statisticsToNormalization([some]));
  });

  it("keep a small deviation at a high level over very many pixels", () => {
    // 20,000 of the largest shards there can be; half of their pixels are 254, the others 255.
    const half = (4096 * 4096 * 4096) / 2;
    const shard = pixelStatistics.parse({
      formatVersion: 1,
      images: 4096,
      pixels: 2 * half,
      sums: [half * 509, half * 509, half * 509],
      squareSums: [0, 1, 2].map(() => half * (254 ** 2 + 255 ** 2)),
    });
    const { mean, deviation } = statisticsToNormalization(Array<PixelStatistics>(20_000).fill(shard));
    assert.deepEqual(mean, [254.5, 254.5, 254.5]);
    for (const value of deviation) assert.ok(Math.abs(value - 0.5) < 1e-12, String(value));
  });

  it("are refused where nothing can be divided by them, naming the channel", () => {
    const grey = drawn.map((pixels) => pixels.map((value, i) => (i % 3 === 1 ? 7 : value)));
    const refused = (shards: readonly PixelStatistics[], said: RegExp) =>
      assert.throws(
        () => statisticsToNormalization(shards),
        (thrown) =>
          thrown instanceof TrommelError && thrown.code === "bad-dataset" && said.test(thrown.message),
      );
    refused([statisticsOf(grey)], /green has the same value/);
    refused([statisticsOf([])], /none of its images/);
    refused([], /none of its images/);
  });
});
