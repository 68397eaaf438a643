import type { FailedRow, FeatureShard } from "@trommel/common";

/** The rows of a shard while they come, in whatever order: those of an image stand by its position. */
export class ShardRows {
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

  /** Those of every other image, in shard order. Nothing may be set afterwards. */
  without(failed: readonly Pick<FailedRow, "position">[]): FeatureShard {
    const { viewCount, dimension } = this;
    const left = new Set(failed.map(({ position }) => position));
    const kept = Array.from({ length: this.#images }, (_, position) => position).filter((p) => !left.has(p));
    const imageLength = viewCount * dimension;
    for (const [place, position] of kept.entries()) {
      if (place === position) continue;
      this.#features.copyWithin(place * imageLength, position * imageLength, (position + 1) * imageLength);
    }
    return {
      dimension,
      features: this.#features.subarray(0, kept.length * imageLength),
      image: Int32Array.from(
        { length: kept.length * viewCount },
        (_, row) => kept[Math.floor(row / viewCount)]!,
      ),
      view: Uint8Array.from({ length: kept.length * viewCount }, (_, row) => row % viewCount),
    };
  }
}
