import { SeededRandom } from "@trommel/common";
import {
  noiseModule,
  pageBytes,
  resultsAt,
  thresholdsAt,
  widthsAt,
  type NoiseExports,
} from "./noise-module.js";
import { drawTail, thresholds, wedgeOf, widths } from "./normal-noise.js";

/** The part of the host's WebAssembly that is used here; TypeScript knows it only with a browser's types. */
interface WebAssemblyHost {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer };
  readonly Global: new (type: { value: "i64"; mutable: true }, value: bigint) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: unknown };
}

const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyHost };

interface NoiseHost {
  readonly module: object;
  /** One for all generators of a thread: each keeps its state in globals of its own, and results are copied out at once. */
  readonly memory: { readonly buffer: ArrayBuffer };
}

let started: NoiseHost | undefined;

function startHost(): NoiseHost {
  const memory = new WebAssembly.Memory({ initial: 1 });
  // A draw is an integer: it is under a threshold where it is under the next integer.
  new Int32Array(memory.buffer, thresholdsAt, thresholds.length).set(thresholds.map(Math.ceil));
  new Float64Array(memory.buffer, widthsAt, widths.length).set(widths);
  return { module: new WebAssembly.Module(noiseModule()), memory };
}

/**
 * Dropout factors in bulk: the numbers that {@link SeededRandom} and `NormalNoise` give one after another, to the bit, in a
 * quarter of their time.
 */
export class NoiseGenerator {
  readonly #memory: NoiseHost["memory"];
  readonly #exports: NoiseExports;

  constructor(seed: number) {
    started ??= startHost();
    const { module, memory } = started;
    const [s0, s1] = new SeededRandom(seed).state;
    const word = (value: bigint) => new WebAssembly.Global({ value: "i64", mutable: true }, value);
    const bits = () => this.#exports.bits() >>> 0;
    const random = { bits, unit: () => SeededRandom.unitFrom(bits) };
    const outside = (drawn: number, height: number) => {
      return (drawn & 127) === 0 ? drawTail(random, drawn) : wedgeOf(drawn, height);
    };
    const host = { memory, s0: word(s0), s1: word(s1), outside };
    this.#memory = memory;
    this.#exports = new WebAssembly.Instance(module, { host }).exports as NoiseExports;
  }

  /** Fills with 1 + deviation · N(0, 1). */
  fillNormal(values: Float32Array, deviation: number): void {
    this.#fill(values, (to, end) => this.#exports.normal(to, end, deviation));
  }

  /** Fills with 0 at that rate, and with 1 / (1 − rate) otherwise. */
  fillMask(values: Float32Array, rate: number): void {
    const keptFrom = Math.round(rate * 2 ** 32);
    const [factorBits = 0] = new Int32Array(Float32Array.of(1 / (1 - rate)).buffer);
    this.#fill(values, (to, end) => this.#exports.mask(to, end, keptFrom, factorBits));
  }

  #fill(values: Float32Array, make: (to: number, end: number) => void): void {
    const made = new Float32Array(this.#memory.buffer, resultsAt, (pageBytes - resultsAt) / 4);
    for (let start = 0; start < values.length; start += made.length) {
      const count = Math.min(made.length, values.length - start);
      make(resultsAt, resultsAt + 4 * count);
      values.set(made.subarray(0, count), start);
    }
  }
}
