import { type HuffmanTable, longestCode } from "./huffman-table.js";
import { PictureFault } from "./picture-fault.js";

export const marker = {
  startOfImage: 0xd8,
  endOfImage: 0xd9,
  startOfScan: 0xda,
  huffmanTables: 0xc4,
  restartInterval: 0xdd,
  restart0: 0xd0,
} as const;

export const isRestart = (code: number): boolean => code >= 0xd0 && code <= 0xd7;

/** The bytes of a JPEG, and the bits of its scans, read as libjpeg reads them. The end of the file reads as the end of the image. */
export class JpegBits {
  readonly bytes: Buffer;
  /** The place of the next byte that is not in the buffer of bits. */
  at = 2;
  /** The marker that ended the data, 0 before it is found, and the place where it begins. */
  #marker = 0;
  #markerAt = 0;
  #bits = 0;
  #count = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** The end of the data that were read: a marker after them is not part of them. */
  get end(): number {
    return this.#marker === 0 ? this.at : this.#markerAt;
  }

  /** Whether an end marker is right before the place: not the end of the file, which reads as one. */
  get isEnded(): boolean {
    return this.bytes[this.at - 2] === 0xff && this.bytes[this.at - 1] === marker.endOfImage;
  }

  /** Drops the bits that are left of a scan's data. */
  align(): void {
    this.#bits = 0;
    this.#count = 0;
  }

  /** Skips what is no marker, and moves behind the next one. @returns its second byte */
  takeMarker(): number {
    let code = this.#marker;
    this.#marker = 0;
    while (code === 0) {
      const found = this.bytes.indexOf(0xff, this.at);
      if (found < 0) {
        this.at = this.bytes.length;
        return marker.endOfImage;
      }
      this.at = found + 1;
      while (this.bytes[this.at] === 0xff) this.at += 1;
      code = this.bytes[this.at] ?? marker.endOfImage;
      this.at += 1;
    }
    return code;
  }

  /**
   * Moves behind a restart marker. If it finds another one it decides as libjpeg does (`jpeg_resync_to_restart`): only blocks
   * that the decoder reads are there.
   * @param expected 0 to 7
   * @throws PictureFault if the decoder leaves out blocks
   */
  restart(expected: number): void {
    this.align();
    for (;;) {
      const code = this.takeMarker();
      const ahead = isRestart(code) ? (code - expected) & 7 : undefined;
      if (ahead === 0) return;
      // A marker that cannot be here, or a restart that should have come before.
      if (code < 0xc0 || ahead === 6 || ahead === 7) continue;
      if (ahead === undefined || ahead === 1 || ahead === 2) throw missing();
      return;
    }
  }

  /** @throws PictureFault */
  symbol(table: HuffmanTable): number {
    if (this.#count < longestCode) this.#fill();
    const count = this.#count;
    const next =
      count < longestCode ? this.#bits << (longestCode - count) : this.#bits >>> (count - longestCode);
    const entry = table[next & 0xffff] ?? 0;
    const length = entry >> 8;
    if (entry === 0 && count >= longestCode)
      throw new PictureFault("broken", "its data contain a code that is in no table");
    if (entry === 0 || length > count) throw missing();
    this.#count = count - length;
    return entry & 0xff;
  }

  /** @param count at most 16 @throws PictureFault */
  take(count: number): number {
    if (this.#count < count) {
      this.#fill();
      if (this.#count < count) throw missing();
    }
    this.#count -= count;
    return (this.#bits >>> this.#count) & ((1 << count) - 1);
  }

  #fill(): void {
    while (this.#count <= 24 && this.#marker === 0) {
      const byte = this.bytes[this.at];
      if (byte === 0xff) {
        let second = this.at + 1;
        while (this.bytes[second] === 0xff) second += 1;
        const code = this.bytes[second] ?? marker.endOfImage;
        if (code !== 0) {
          this.#end(code, second + 1);
          return;
        }
        this.at = second + 1;
      } else {
        if (byte === undefined) {
          this.#end(marker.endOfImage, this.bytes.length);
          return;
        }
        this.at += 1;
      }
      this.#bits = (this.#bits << 8) | byte;
      this.#count += 8;
    }
  }

  #end(code: number, after: number): void {
    this.#marker = code;
    this.#markerAt = this.at;
    this.at = after;
  }
}

function missing(): PictureFault {
  return new PictureFault("truncated", "a scan has fewer blocks than its frame");
}
