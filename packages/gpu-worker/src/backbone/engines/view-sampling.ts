import type { InputContract } from "../../graph/sampling.js";

/**
 * Views by plain loops, for the TensorFlow.js engine: the same definition as the graph's sampling, implemented independently.
 * Bilinear between pixel centres, the edge pixel repeats outside, colour clipped to 0..255, then normalised.
 */

export interface SampledView {
  /** [side, side, 3], RGB. */
  readonly pixels: Uint8Array;
  readonly side: number;
  /** 2×3 matrix: output to input coordinates, -1..1 at the edges. */
  readonly affine: Float32Array;
  /** 3×4 matrix on (r, g, b, 1) in 0..255, or null. */
  readonly colour: Float32Array | null;
}

/** @param out [inputSize, inputSize, 3], in the backbone's channel order, normalised */
export function sampleView(view: SampledView, contract: InputContract, out: Float32Array): void {
  const { pixels, side, affine } = view;
  const size = contract.inputSize;
  const rgb = new Float64Array(3);
  const finish = pixelFinisher(view.colour, contract);
  for (let row = 0; row < size; row += 1) {
    const v = (2 * row + 1) / size - 1;
    for (let column = 0; column < size; column += 1) {
      const u = (2 * column + 1) / size - 1;
      const x = toPixel(affine[0]! * u + affine[1]! * v + affine[2]!, side);
      const y = toPixel(affine[3]! * u + affine[4]! * v + affine[5]!, side);
      const x0 = Math.floor(x);
      const y0 = Math.floor(y);
      const top = y0 * side;
      const bottom = Math.min(y0 + 1, side - 1) * side;
      const right = Math.min(x0 + 1, side - 1);
      for (let c = 0; c < 3; c += 1) {
        const upper = mix(pixels[(top + x0) * 3 + c]!, pixels[(top + right) * 3 + c]!, x - x0);
        const lower = mix(pixels[(bottom + x0) * 3 + c]!, pixels[(bottom + right) * 3 + c]!, x - x0);
        rgb[c] = mix(upper, lower, y - y0);
      }
      finish(rgb, out, (row * size + column) * 3);
    }
  }
}

/** Normalised coordinate to pixel index: -1 is the outer edge of pixel 0; clamped to the outer pixels' centres. */
function toPixel(coordinate: number, side: number): number {
  return Math.min(side - 1, Math.max(0, ((coordinate + 1) * side - 1) / 2));
}

function mix(a: number, b: number, share: number): number {
  return a + (b - a) * share;
}

function pixelFinisher(colour: Float32Array | null, contract: InputContract) {
  const { mean, deviation } = contract.normalization;
  return (rgb: Float64Array, out: Float32Array, at: number): void => {
    for (let c = 0; c < 3; c += 1) {
      let value = rgb[c]!;
      if (colour !== null) {
        const m = c * 4;
        value = colour[m]! * rgb[0]! + colour[m + 1]! * rgb[1]! + colour[m + 2]! * rgb[2]! + colour[m + 3]!;
        value = Math.min(255, Math.max(0, value));
      }
      out[at + (contract.channelOrder === "rgb" ? c : 2 - c)] = (value - mean[c]!) / deviation[c]!;
    }
  };
}
