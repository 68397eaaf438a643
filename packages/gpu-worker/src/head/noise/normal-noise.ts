import type { SeededRandom } from "@trommel/common";

/** What the slow draws take further bits from. */
type Bits = Pick<SeededRandom, "bits" | "unit">;

/**
 * Standard normal numbers by the ziggurat of Marsaglia & Tsang (2000) with 128 layers, one draw of 32 bits in 98 of 100
 * cases: Gaussian dropout needs a hundred million of them, for which Box–Muller takes longer than the training itself.
 * Here one at a time; `noise-module.ts` makes the same numbers by the million.
 */
export class NormalNoise {
  readonly #random: Bits;

  constructor(random: Bits) {
    this.#random = random;
  }

  next(): number {
    for (;;) {
      const bits = this.#random.bits() | 0;
      const layer = bits & 127;
      // The layer takes the low seven bits; the place within it comes from the same draw, as in the paper.
      if (Math.abs(bits) < (thresholds[layer] as number)) return bits * (widths[layer] as number);
      const x = layer === 0 ? drawTail(this.#random, bits) : wedgeOf(bits, this.#random.unit());
      if (!Number.isNaN(x)) return x;
    }
  }
}

/** A number beyond the last layer, in the direction of the draw's sign. */
export function drawTail(random: Bits, bits: number): number {
  for (;;) {
    const x = -Math.log(1 - random.unit()) / tailStart;
    const y = -Math.log(1 - random.unit());
    if (y + y >= x * x) return bits > 0 ? tailStart + x : -tailStart - x;
  }
}

/**
 * The draw's number in the part of its layer that the curve cuts.
 * @param height where in the layer, 0 to 1
 * @returns NaN where that lies above the curve: then the draw is to be made again
 */
export function wedgeOf(bits: number, height: number): number {
  const layer = bits & 127;
  const x = bits * (widths[layer] as number);
  const low = heights[layer] as number;
  return low + height * ((heights[layer - 1] as number) - low) < Math.exp(-0.5 * x * x) ? x : Number.NaN;
}

const layers = 128;
const tailStart = 3.442619855899;
const layerArea = 9.91256303526217e-3;

/** By layer: draws of lesser amount lie inside the curve, whatever their height. */
export const thresholds = new Float64Array(layers);
/** By layer: what a draw is multiplied by. */
export const widths = new Float64Array(layers);
const heights = new Float64Array(layers);

function fillTables(): void {
  const scale = 2147483648;
  let x = tailStart;
  let before = tailStart;
  const base = layerArea / Math.exp(-0.5 * x * x);
  thresholds[0] = (x / base) * scale;
  thresholds[1] = 0;
  widths[0] = base / scale;
  widths[layers - 1] = x / scale;
  heights[0] = 1;
  heights[layers - 1] = Math.exp(-0.5 * x * x);
  for (let i = layers - 2; i >= 1; i -= 1) {
    x = Math.sqrt(-2 * Math.log(layerArea / x + Math.exp(-0.5 * x * x)));
    thresholds[i + 1] = (x / before) * scale;
    before = x;
    heights[i] = Math.exp(-0.5 * x * x);
    widths[i] = x / scale;
  }
}

fillTables();
