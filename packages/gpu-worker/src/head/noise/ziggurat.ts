import { SeededRandom } from "@trommel/common";

/**
 * Tables and slow paths of the ziggurat of Marsaglia & Tsang (2000) for the standard normal distribution, with 128 layers. One
 * draw of 32 bits is enough in 98 of 100 cases; Box–Muller would take longer than the training that uses the noise.
 */
const layers = 128;
const tailStart = 3.442619855899;
const layerArea = 9.91256303526217e-3;

/** By layer: draws of smaller magnitude lie inside the curve at any height. */
export const thresholds = new Int32Array(layers);
/** By layer: the factor from a draw to a normal number. */
export const widths = new Float64Array(layers);
const heights = new Float64Array(layers);

/**
 * The number of a draw whose magnitude reaches its layer's threshold.
 *
 * @param bits the draw; its low seven bits are the layer
 * @param draw gives the next 32 random bits
 * @returns NaN if the point lies above the curve: the caller then starts again with a new draw
 */
export function sampleOutside(bits: number, draw: () => number): number {
  return (bits & 127) === 0 ? tailSample(bits, draw) : wedgeSample(bits, draw);
}

/** A number beyond the last layer, with the sign of the draw. */
function tailSample(bits: number, draw: () => number): number {
  for (;;) {
    const x = -Math.log(1 - SeededRandom.unitFrom(draw)) / tailStart;
    const y = -Math.log(1 - SeededRandom.unitFrom(draw));
    if (y + y >= x * x) return bits > 0 ? tailStart + x : -tailStart - x;
  }
}

/** The number of the draw in the part of its layer that the curve cuts, or NaN above the curve. */
function wedgeSample(bits: number, draw: () => number): number {
  const layer = bits & 127;
  const x = bits * (widths[layer] as number);
  const low = heights[layer] as number;
  const height = SeededRandom.unitFrom(draw);
  return low + height * ((heights[layer - 1] as number) - low) < Math.exp(-0.5 * x * x) ? x : Number.NaN;
}

function fillTables(): void {
  const scale = 2147483648;
  let x = tailStart;
  let before = tailStart;
  const base = layerArea / Math.exp(-0.5 * x * x);
  // A draw is an integer: it is below a threshold exactly if it is below the next integer.
  thresholds[0] = Math.ceil((x / base) * scale);
  thresholds[1] = 0;
  widths[0] = base / scale;
  widths[layers - 1] = x / scale;
  heights[0] = 1;
  heights[layers - 1] = Math.exp(-0.5 * x * x);
  for (let i = layers - 2; i >= 1; i -= 1) {
    x = Math.sqrt(-2 * Math.log(layerArea / x + Math.exp(-0.5 * x * x)));
    thresholds[i + 1] = Math.ceil((x / before) * scale);
    before = x;
    heights[i] = Math.exp(-0.5 * x * x);
    widths[i] = x / scale;
  }
}

fillTables();
