import { TrommelError, type DatasetNormalization, type PixelStatistics } from "@trommel/common";

/**
 * Mean and standard deviation over all pixels of a dataset, per RGB channel in 0..255: of the population, σ² = E[x²] - E[x]².
 *
 * The pixels are those of the base images, as the networks see them: each image has the same weight whatever its size, and
 * the canvas of a letterboxed image counts. The sums are whole numbers and the numerator of the variance is computed from them
 * without rounding, so there is no cancellation and the order of the shards does not matter.
 * @throws TrommelError `bad-dataset` if no image could be read, or if a channel has the same value everywhere
 */
export function statisticsToNormalization(shards: Iterable<PixelStatistics>): DatasetNormalization {
  const sums = [0n, 0n, 0n];
  const squareSums = [0n, 0n, 0n];
  let images = 0;
  let pixels = 0;
  for (const shard of shards) {
    images += shard.images;
    pixels += shard.pixels;
    for (let channel = 0; channel < 3; channel += 1) {
      sums[channel]! += BigInt(shard.sums[channel]!);
      squareSums[channel]! += BigInt(shard.squareSums[channel]!);
    }
  }
  if (images === 0) {
    throw new TrommelError(
      "bad-dataset",
      "cannot measure the dataset's pixels: none of its images could be read. Check them, or choose another normalization than dataset",
    );
  }
  const moments = sums.map((sum, channel) => momentsOf(sum, squareSums[channel]!, pixels));
  const [red, green, blue] = moments as [Moments, Moments, Moments];
  const flat = ["red", "green", "blue"].filter((_, channel) => moments[channel]!.deviation === 0);
  if (flat.length > 0) {
    throw new TrommelError(
      "bad-dataset",
      `cannot normalize by the dataset's pixels: ${flat.join(", ")} has the same value in all ${images} images, so its deviation is 0. Check the images, or choose another normalization than dataset`,
      { context: { channels: flat, images } },
    );
  }
  return {
    formatVersion: 1,
    images,
    pixels,
    mean: [red.mean, green.mean, blue.mean],
    deviation: [red.deviation, green.deviation, blue.deviation],
  };
}

interface Moments {
  readonly mean: number;
  readonly deviation: number;
}

/** σ² = (n·Σx² - (Σx)²) / n² */
function momentsOf(sum: bigint, squareSum: bigint, pixels: number): Moments {
  const numerator = BigInt(pixels) * squareSum - sum * sum;
  return { mean: Number(sum) / pixels, deviation: Math.sqrt(Number(numerator)) / pixels };
}
