import { SeededRandom } from "@trommel/common";
import { sampleOutside, thresholds, widths } from "./ziggurat.js";

/**
 * Dropout factors in bulk. The bits come from xoshiro128++ (Blackman & Vigna 2021, "Scrambled linear pseudorandom number
 * generators"), whose words have 32 bits, the only integers that JavaScript computes with directly. A training needs up to a
 * hundred million draws, so both loops repeat the generator's step on local variables: through a method call with the
 * state in fields a draw takes two to five times as long.
 */
export class NoiseGenerator {
  readonly #state: Int32Array;

  /** @param seed a 32-bit integer, which {@link SeededRandom} expands to the 128 bits of the state */
  constructor(seed: number) {
    const random = new SeededRandom(seed);
    this.#state = Int32Array.from({ length: 4 }, () => random.bits());
  }

  /** The next 32 random bits, as a signed integer. */
  bits(): number {
    const state = this.#state;
    let [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = state;
    const sum = (s0 + s3) | 0;
    const bits = (((sum << 7) | (sum >>> 25)) + s0) | 0;
    const shifted = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= shifted;
    s3 = (s3 << 11) | (s3 >>> 21);
    this.#save(s0, s1, s2, s3);
    return bits;
  }

  /** Fills with 1 + deviation · N(0, 1). */
  fillNormal(values: Float32Array, deviation: number): void {
    const state = this.#state;
    const draw = () => this.bits();
    let [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = state;
    for (let i = 0; i < values.length;) {
      const sum = (s0 + s3) | 0;
      const bits = (((sum << 7) | (sum >>> 25)) + s0) | 0;
      const shifted = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= shifted;
      s3 = (s3 << 11) | (s3 >>> 21);
      // The layer is in the low seven bits; the place within it comes from the same draw, as in the paper.
      const layer = bits & 127;
      let x = bits * (widths[layer] as number);
      if (Math.abs(bits) >= (thresholds[layer] as number)) {
        this.#save(s0, s1, s2, s3);
        x = sampleOutside(bits, draw);
        [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = state;
        if (Number.isNaN(x)) continue;
      }
      values[i] = 1 + deviation * x;
      i += 1;
    }
    this.#save(s0, s1, s2, s3);
  }

  /** Fills with 0 at that rate, and with 1 / (1 − rate) otherwise. */
  fillMask(values: Float32Array, rate: number): void {
    // Unsigned bits ≥ rate · 2³², compared as signed integers.
    const keptFrom = Math.round(rate * 2 ** 32) - 2 ** 31;
    // All bits of the factor or none: a branch would be mispredicted half of the time.
    const [factorBits = 0] = new Int32Array(Float32Array.of(1 / (1 - rate)).buffer);
    const words = new Int32Array(values.buffer, values.byteOffset, values.length);
    let [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = this.#state;
    for (let i = 0; i < words.length; i += 1) {
      const sum = (s0 + s3) | 0;
      const bits = (((sum << 7) | (sum >>> 25)) + s0) | 0;
      const shifted = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= shifted;
      s3 = (s3 << 11) | (s3 >>> 21);
      words[i] = factorBits & -Number((bits ^ 0x80000000) >= keptFrom);
    }
    this.#save(s0, s1, s2, s3);
  }

  /**
   * Multiplies by 0 at that rate, and by 1 / (1 − rate) otherwise. Each draw decides about two values, so that the rate is
   * rounded to a multiple of 2⁻¹⁶.
   */
  dropValues(values: Float32Array, rate: number): void {
    const keptFrom = Math.min(65_535, Math.round(rate * 65_536));
    const factor = Math.fround(1 / (1 - keptFrom / 65_536));
    // As in a mask: all bits of the value or none.
    const words = new Int32Array(values.buffer, values.byteOffset, values.length);
    let [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = this.#state;
    for (let i = 0; i < words.length; i += 2) {
      const sum = (s0 + s3) | 0;
      const bits = (((sum << 7) | (sum >>> 25)) + s0) | 0;
      const shifted = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= shifted;
      s3 = (s3 << 11) | (s3 >>> 21);
      words[i] = (words[i] as number) & -Number((bits & 0xffff) >= keptFrom);
      values[i] = (values[i] as number) * factor;
      if (i + 1 === words.length) break;
      words[i + 1] = (words[i + 1] as number) & -Number(bits >>> 16 >= keptFrom);
      values[i + 1] = (values[i + 1] as number) * factor;
    }
    this.#save(s0, s1, s2, s3);
  }

  #save(s0: number, s1: number, s2: number, s3: number): void {
    const state = this.#state;
    state[0] = s0;
    state[1] = s1;
    state[2] = s2;
    state[3] = s3;
  }
}
