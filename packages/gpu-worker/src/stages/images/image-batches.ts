import type { ShardImage } from "../../image/read/image-stream.js";

/** Base images side by side, as the device takes them. */
export interface ImageBatch {
  /** [positions.length, side, side, 3] */
  readonly pixels: Uint8Array;
  /** Position of each image in its shard. */
  readonly positions: readonly number[];
  readonly keys: readonly string[];
}

/** Packs images into batches, in the order they come. */
export class ImageBatches {
  readonly size: number;
  readonly #imageBytes: number;
  #pixels: Uint8Array | undefined;
  #positions: number[] = [];
  #keys: string[] = [];

  constructor(side: number, size: number) {
    this.size = size;
    this.#imageBytes = side * side * 3;
  }

  /** @returns the batch that this image fills, if it does */
  add(image: Extract<ShardImage, { ok: true }>): ImageBatch | undefined {
    // Memory of its own, for it is moved to the device; not cleared, for what is not written is never handed on.
    this.#pixels ??= new Uint8Array(Buffer.allocUnsafeSlow(this.size * this.#imageBytes).buffer);
    this.#pixels.set(image.pixels, this.#positions.length * this.#imageBytes);
    this.#positions.push(image.position);
    this.#keys.push(image.key);
    return this.#positions.length === this.size ? this.rest() : undefined;
  }

  /** What has not filled a batch, or undefined where there is nothing. */
  rest(): ImageBatch | undefined {
    if (this.#pixels === undefined || this.#positions.length === 0) return undefined;
    // A copy where it is short: the buffer is moved to the device, whole.
    const used = this.#positions.length * this.#imageBytes;
    const pixels = used === this.#pixels.length ? this.#pixels : this.#pixels.slice(0, used);
    const batch = { pixels, positions: this.#positions, keys: this.#keys };
    this.#pixels = undefined;
    this.#positions = [];
    this.#keys = [];
    return batch;
  }
}
