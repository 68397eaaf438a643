import type { PixelStatistics } from "@trommel/common";

/**
 * Adds up the pixels of base images per channel. All sums are whole numbers and exact, so the order of the images does not
 * matter.
 */
export class PixelSums {
  readonly #sums: [number, number, number] = [0, 0, 0];
  readonly #squareSums: [number, number, number] = [0, 0, 0];
  #pixels = 0;

  /** @param pixels [n, side, side, 3], RGB */
  add(pixels: Uint8Array): void {
    for (let channel = 0; channel < 3; channel += 1) {
      let sum = 0;
      let squareSum = 0;
      for (let i = channel; i < pixels.length; i += 3) {
        const value = pixels[i]!;
        sum += value;
        squareSum += value * value;
      }
      this.#sums[channel]! += sum;
      this.#squareSums[channel]! += squareSum;
    }
    this.#pixels += pixels.length / 3;
  }

  /** @param images number of images added */
  statistics(images: number): PixelStatistics {
    return {
      formatVersion: 1,
      images,
      pixels: this.#pixels,
      sums: [...this.#sums],
      squareSums: [...this.#squareSums],
    };
  }
}
