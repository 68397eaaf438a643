import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { RandomGenerator } from "pure-rand/types/RandomGenerator";
import { sha256Latin1 } from "../codec/canonical-json.js";

/**
 * Seeded chance. Every draw that can change a result comes from one of these, seeded by what it belongs to
 * (a run's seed, an image's key, a view's index, an epoch), so that neither order nor machine matters.
 */
export class SeededRandom {
  readonly #generator: RandomGenerator;

  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed);
  }

  /** 32 random bits as an unsigned integer. */
  bits(): number {
    return this.#generator.next() >>> 0;
  }

  /** Uniform in [0, 1), 53 bits. */
  unit(): number {
    return SeededRandom.unitFrom(() => this.bits());
  }

  /** Uniform in [0, 1) from two draws of 32 bits. */
  static unitFrom(bits: () => number): number {
    const high = bits() >>> 5;
    const low = bits() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** Uniform in [low, high). */
  uniform(low: number, high: number): number {
    return low + (high - low) * this.unit();
  }

  /** Uniform integer in [0, bound); bound ≤ 2³². The modulo bias is under bound / 2⁵³. */
  integer(bound: number): number {
    return Math.floor(this.unit() * bound);
  }

  /** Standard normal, by Box and Muller (1958); one of the pair is dropped to avoid state. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.unit()));
    return radius * Math.cos(2 * Math.PI * this.unit());
  }

  /** Shuffles in place (Fisher and Yates; Durstenfeld 1964). */
  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T {
    for (let i = items.length - 1; i > 0; i -= 1) {
      const j = this.integer(i + 1);
      const held = items[i];
      items[i] = items[j];
      items[j] = held;
    }
    return items;
  }
}

const scratch = Buffer.allocUnsafe(4096);

/** A 32-bit seed from any number of parts: the first four bytes of the sha256 of their length-prefixed text. */
export function seedFrom(...parts: readonly (string | number)[]): number {
  const texts = parts.map(String);
  // A UTF-16 unit takes three bytes of UTF-8 at most.
  const room = texts.reduce((sum, text) => sum + 4 + 3 * text.length, 0);
  // One update of one buffer: the hash itself is the smaller part of what this costs, once per image and view.
  const bytes = room <= scratch.length ? scratch : Buffer.allocUnsafe(room);
  let at = 0;
  for (const text of texts) {
    const length = bytes.write(text, at + 4, "utf8");
    bytes.writeUInt32BE(length, at);
    at += 4 + length;
  }
  return Buffer.from(sha256Latin1(bytes.subarray(0, at)), "latin1").readInt32BE(0);
}
