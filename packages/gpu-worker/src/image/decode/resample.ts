import { setImmediate } from "node:timers/promises";
import type { DecodeRecipe } from "@trommel/common";

/**
 * Separable resampling of 8-bit RGB with pixels as areas: the centre of a picture is the centre of its result, and so a
 * mirrored picture gives the mirrored result. As Pillow does it (`Resample.c`): a kernel becomes wider where it shrinks and
 * not where it enlarges, is cut and normalised at the border, and each pass rounds to whole levels. An axis that
 * keeps its size is left alone. The first pass is along the axis that shrinks, and along the rows if both are enlarged.
 */

/** The part of an axis that becomes the output, in input pixels; it may begin before the first and end behind the last. */
export interface AxisWindow {
  readonly start: number;
  readonly length: number;
  /** Output pixels. */
  readonly count: number;
}

interface Kernel {
  readonly support: number;
  readonly at: (x: number) => number;
}

function lanczos(lobes: number): Kernel {
  const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  return { support: lobes, at: (x) => (Math.abs(x) < lobes ? sinc(x) * sinc(x / lobes) : 0) };
}

/** Mitchell and Netravali, "Reconstruction filters in computer graphics" (1988), equation 8. */
function cubic(b: number, c: number): Kernel {
  const at = (signed: number): number => {
    const x = Math.abs(signed);
    if (x < 1) return ((12 - 9 * b - 6 * c) * x ** 3 + (-18 + 12 * b + 6 * c) * x ** 2 + (6 - 2 * b)) / 6;
    if (x >= 2) return 0;
    return (
      ((-b - 6 * c) * x ** 3 + (6 * b + 30 * c) * x ** 2 + (-12 * b - 48 * c) * x + (8 * b + 24 * c)) / 6
    );
  };
  return { support: 2, at };
}

const kernels: Readonly<Record<Exclude<DecodeRecipe["kernel"], "nearest">, Kernel>> = {
  linear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  cubic: cubic(0, 0.5),
  mitchell: cubic(1 / 3, 1 / 3),
  lanczos2: lanczos(2),
  lanczos3: lanczos(3),
};

/** Weights are whole numbers of this, so that sums do not depend on their order. A sum fits into 32 bits. */
const one = 1 << 22;

interface Weights {
  /** Weights of an output pixel; those behind its last are 0. */
  readonly width: number;
  /** [count]: the first input pixel of each output pixel. */
  readonly first: Int32Array;
  /** [count] */
  readonly used: Int32Array;
  /** [count, width] */
  readonly weights: Int32Array;
}

function weightsOf(size: number, window: AxisWindow, name: DecodeRecipe["kernel"]): Weights {
  const { start, length, count } = window;
  const scale = length / count;
  const centreOf = (i: number): number => start + (i + 0.5) * scale;
  if (name === "nearest" || (start === 0 && length === size && count === size)) {
    const first = Int32Array.from({ length: count }, (_, i) =>
      Math.min(size - 1, Math.max(0, Math.floor(centreOf(i)))),
    );
    return { width: 1, first, used: new Int32Array(count).fill(1), weights: new Int32Array(count).fill(one) };
  }
  const kernel = kernels[name];
  const stretch = Math.max(1, scale);
  const support = kernel.support * stretch;
  const width = 2 * Math.ceil(support) + 1;
  const first = new Int32Array(count);
  const used = new Int32Array(count);
  const weights = new Int32Array(count * width);
  for (let i = 0; i < count; i += 1) {
    const centre = centreOf(i);
    const from = Math.max(0, Math.trunc(centre - support + 0.5));
    const to = Math.min(size, Math.trunc(centre + support + 0.5));
    const values = Array.from({ length: to - from }, (_, k) =>
      kernel.at((from + k - centre + 0.5) / stretch),
    );
    const sum = values.reduce((total, value) => total + value, 0);
    first[i] = from;
    used[i] = to - from;
    weights.set(
      values.map((value) => Math.round((value / sum) * one)),
      i * width,
    );
  }
  return { width, first, used, weights };
}

/** Multiplications between two pauses, in which the thread renews its locks: some 20 ms. */
const workPerPause = 1 << 24;

interface Rgb {
  /** [height, width, 3] */
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** @returns [rows.count, columns.count, 3] */
export async function resample(
  picture: Rgb,
  columns: AxisWindow,
  rows: AxisWindow,
  kernel: DecodeRecipe["kernel"],
): Promise<Uint8Array> {
  const across = weightsOf(picture.width, columns, kernel);
  const down = weightsOf(picture.height, rows, kernel);
  const [first, second] =
    picture.height > rows.count
      ? [await alongColumns(picture, down), across]
      : [await alongRows(picture, across), down];
  const { pixels } = await (second === across ? alongRows(first, across) : alongColumns(first, down));
  return pixels;
}

async function alongRows(picture: Rgb, by: Weights): Promise<Rgb> {
  const { width, height } = picture;
  const count = by.first.length;
  const pixels = new Uint8Array(height * count * 3);
  await inPieces(height, count * by.width * 3, (row) => {
    resampleRow(picture.pixels, row * width * 3, by, pixels, row * count * 3);
  });
  return { pixels, width: count, height };
}

async function alongColumns(picture: Rgb, by: Weights): Promise<Rgb> {
  const { width } = picture;
  const height = by.first.length;
  const pixels = new Uint8Array(height * width * 3);
  await inPieces(height, width * by.width * 3, (row) => {
    blendRows(picture.pixels, width * 3, by, row, pixels);
  });
  return { pixels, width, height };
}

async function inPieces(rows: number, workPerRow: number, work: (row: number) => void): Promise<void> {
  const rowsPerPause = Math.max(1, Math.floor(workPerPause / workPerRow));
  for (let row = 0; row < rows; row += 1) {
    if (row > 0 && row % rowsPerPause === 0) await setImmediate();
    work(row);
  }
}

function resampleRow(from: Uint8Array, at: number, by: Weights, to: Uint8Array, toAt: number): void {
  for (let i = 0; i < by.first.length; i += 1) {
    let r = one >> 1;
    let g = r;
    let b = r;
    let pixel = at + (by.first[i] as number) * 3;
    const end = i * by.width + (by.used[i] as number);
    for (let k = i * by.width; k < end; k += 1) {
      const weight = by.weights[k] as number;
      r += weight * (from[pixel] as number);
      g += weight * (from[pixel + 1] as number);
      b += weight * (from[pixel + 2] as number);
      pixel += 3;
    }
    to[toAt + i * 3] = clip(r);
    to[toAt + i * 3 + 1] = clip(g);
    to[toAt + i * 3 + 2] = clip(b);
  }
}

function blendRows(from: Uint8Array, rowLength: number, by: Weights, row: number, to: Uint8Array): void {
  const start = (by.first[row] as number) * rowLength;
  const end = row * by.width + (by.used[row] as number);
  for (let i = 0; i < rowLength; i += 1) {
    let sum = one >> 1;
    let value = start + i;
    for (let k = row * by.width; k < end; k += 1) {
      sum += (by.weights[k] as number) * (from[value] as number);
      value += rowLength;
    }
    to[row * rowLength + i] = clip(sum);
  }
}

function clip(sum: number): number {
  const level = sum >> 22;
  return level < 0 ? 0 : level > 255 ? 255 : level;
}
