import { TrommelError, type DatasetNormalization, type PixelStatistics } from "@trommel/common";

/**
 * Mean and deviation over every pixel of a dataset, per RGB channel in 0..255 units: the population's, σ² = E[x²] - E[x]².
 *
 * The pixels are those of the base images, as the networks are shown them: each picture weighs alike whatever its size,
 * and a letterboxed picture's canvas counts. The sums are whole numbers and the variance's numerator is formed of them
 * without rounding, so that nothing cancels and no order of the shards matters.
 * @throws TrommelError `bad-dataset` where no picture could be read, or a channel has one value everywhere
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
      "failed to measure the dataset's pixels: not one of its pictures could be read. Check them, or choose another normalization than dataset",
    );
  }
  const moments = sums.map((sum, channel) => momentsOf(sum, squareSums[channel]!, pixels));
  const [red, green, blue] = moments as [Moments, Moments, Moments];
  const flat = ["red", "green", "blue"].filter((_, channel) => moments[channel]!.deviation === 0);
  if (flat.length > 0) {
    throw new TrommelError(
      "bad-dataset",
      `failed to measure the dataset's pixels: ${flat.join(", ")} has one value in all of its ${images} pictures, and nothing can be divided by a deviation of 0. Check the pictures, or choose another normalization than dataset`,
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
