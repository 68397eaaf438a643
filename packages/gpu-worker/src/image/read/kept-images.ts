import type { ShardEntry, WorkerOptions } from "@trommel/common";
import type { ImageStreamOptions, ShardImage, streamImages } from "./image-stream.js";

/**
 * Decoded images that a worker keeps while it tunes, as many as there is room for: an image that every epoch trains on is then read and
 * decoded once. What is kept is of one source and one way to decode; another one begins with nothing.
 */
export class KeptImages {
  readonly #mostBytes: number;
  readonly #images = new Map<string, Uint8Array>();
  #bytes = 0;
  #kind = "";

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /**
   * What `stream` yields, in the same order. Images that are kept are neither read nor decoded; others are kept once they are.
   * @param source location of the files that name no other themselves
   */
  async *through(
    stream: typeof streamImages,
    source: string,
    options: ImageStreamOptions,
  ): AsyncGenerator<ShardImage> {
    this.#beginKind(JSON.stringify([source, options.decode]));
    const { entries, skip = new Set() } = options;
    const kept = new Map<number, Uint8Array>();
    for (const [position, entry] of entries.entries()) {
      const pixels = skip.has(position) ? undefined : this.#images.get(JSON.stringify(entry));
      if (pixels !== undefined) kept.set(position, pixels);
    }
    const others = stream({ ...options, skip: new Set([...skip, ...kept.keys()]) });
    // Asked for before its turn: the others are read and decoded while kept ones are learned from.
    let other = others.next();
    // A rejection is thrown when its turn comes; until then it must not count as unhandled.
    other.catch(() => undefined);
    try {
      for (const [position, entry] of entries.entries()) {
        const pixels = kept.get(position);
        if (pixels !== undefined) {
          yield { position, key: entry.key, ok: true, pixels };
          continue;
        }
        const next: IteratorResult<ShardImage, unknown> = await other;
        // Skipped, or recognised: nothing is yielded for it.
        if (next.done === true || next.value.position !== position) continue;
        const image = next.value;
        if (image.ok) this.#keep(entry, image.pixels);
        yield image;
        other = others.next();
        other.catch(() => undefined);
      }
    } finally {
      await others.return(undefined);
    }
  }

  #beginKind(kind: string): void {
    if (kind === this.#kind) return;
    this.#kind = kind;
    this.#images.clear();
    this.#bytes = 0;
  }

  #keep(entry: ShardEntry, pixels: Uint8Array): void {
    const identity = JSON.stringify(entry);
    if (this.#bytes + pixels.byteLength > this.#mostBytes || this.#images.has(identity)) return;
    this.#images.set(identity, pixels);
    this.#bytes += pixels.byteLength;
  }
}

/** What tuning keeps of decoded images, next to the pixels in flight and as a share of them. */
const keptShare = 0.5;

export function createKeptImages({
  pixelsInFlightMib,
}: Pick<WorkerOptions, "pixelsInFlightMib">): KeptImages {
  return new KeptImages(keptShare * pixelsInFlightMib * 2 ** 20);
}
