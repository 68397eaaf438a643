import type { FailedImage, FeatureShard } from "@trommel/common";

/** The rows of a shard while they come, in whatever order: those of an image stand by its position. */
export class ShardFeatures {
  readonly viewCount: number;
  readonly dimension: number;
  readonly #features: Float32Array;
  readonly #images: number;

  constructor(images: number, viewCount: number, dimension: number) {
    this.#images = images;
    this.viewCount = viewCount;
    this.dimension = dimension;
    this.#features = new Float32Array(images * viewCount * dimension);
  }

  /** @param rows every view of the image, in order */
  set(position: number, rows: Float32Array): void {
    this.#features.set(rows, position * this.viewCount * this.dimension);
  }

  /** @param rows every view of each image, in order; images that follow one another are copied at once */
  setBatch(positions: readonly number[], rows: Float32Array): void {
    const imageLength = this.viewCount * this.dimension;
    for (let start = 0, end = 1; start < positions.length; start = end, end += 1) {
      const first = positions[start]!;
      while (positions[end] === first + end - start) end += 1;
      this.set(first, rows.subarray(start * imageLength, end * imageLength));
    }
  }

  /** Those of every other image, in shard order. Nothing may be set afterwards. */
  without(failed: readonly Pick<FailedImage, "position">[]): FeatureShard {
    const { viewCount, dimension } = this;
    const left = new Set(failed.map(({ position }) => position));
    const kept = this.#images - left.size;
    const imageLength = viewCount * dimension;
    const image = new Int32Array(kept * viewCount);
    const view = new Uint8Array(kept * viewCount);
    let place = 0;
    for (let position = 0; position < this.#images; position += 1) {
      if (left.has(position)) continue;
      if (place !== position)
        this.#features.copyWithin(place * imageLength, position * imageLength, (position + 1) * imageLength);
      for (let index = 0; index < viewCount; index += 1) {
        image[place * viewCount + index] = position;
        view[place * viewCount + index] = index;
      }
      place += 1;
    }
    return { dimension, features: this.#features.subarray(0, kept * imageLength), image, view };
  }
}
