import { setImmediate } from "node:timers/promises";
import sharp, { type SharpOptions } from "sharp";
import type { NumberSamples } from "./sample-kinds.js";
import { plainTiff } from "./plain-tiff.js";

/** The numbers of a picture are no levels from black to white. */
export class SamplesOutOfRange extends Error {}

type Numbers = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array;

/** By how much of white a floating-point sample may be beyond black or white: half a level of 8 bits. */
const tolerance = 1 / 510;
/** Samples between two pauses, in which the thread renews its locks. */
const samplesPerPause = 1 << 22;

/**
 * Reads a picture as numbers and writes it as a plain TIFF of 8 or 16 bits, with its profile and its orientation: black is 0 and
 * white the largest number of the type, of the bits that MaxSampleValue uses, or 1. Bands that are neither colour nor
 * opacity are left out. What is decoded afterwards has gone through no cast.
 * @param options those of sharp that open the picture
 * @throws SamplesOutOfRange if a number is below black, above white or none, or if the numbers use less than a quarter of
 *   their type and no MaxSampleValue says that white is there: no rule tells dark pictures from those of 10, 12 or 14 bits
 */
export async function withPlainSamples(
  bytes: Uint8Array,
  samples: NumberSamples,
  options: SharpOptions & { readonly timeoutS: number },
): Promise<Uint8Array> {
  const { timeoutS, ...rest } = options;
  const source = sharp(bytes, { ...rest, autoOrient: false, ignoreIcc: true });
  const { space, depth, icc, orientation } = await source.metadata();
  const shift = shiftOf(space, samples);
  if (shift !== undefined) source.linear(shift.scale, shift.offset);
  const { data, info } = await source
    .toColourspace(space)
    .raw({ depth: shift === undefined ? depth : "ushort" })
    .timeout({ seconds: timeoutS })
    .toBuffer({ resolveWithObject: true });
  const numbers = typed(data, shift === undefined ? depth : "ushort");
  const { colours, alpha, bits, isYCbCr } = samples;
  const bands = [...Array(colours).keys(), ...(alpha === undefined ? [] : [alpha])];
  if (bands.some((band) => band >= info.channels))
    throw new SamplesOutOfRange(`${info.channels} bands where ${bands.length} were expected`);
  const file = plainTiff({
    ...{ width: info.width, height: info.height, bits: bits === 8 && samples.type === "unsigned" ? 8 : 16 },
    ...{ colours, hasAlpha: alpha !== undefined, icc, orientation },
  });
  await scale(numbers, info.channels, bands, file.samples, samples, shift);
  if (isYCbCr) toRgb(file.samples);
  return file.bytes;
}

interface Shift {
  readonly scale: number;
  readonly offset: number;
}

/**
 * sharp casts what libvips takes for 16-bit grey to unsigned integers, and clips what is outside. So these numbers are
 * moved to the middle of that range before, where a negative one and one above white remain visible.
 */
function shiftOf(space: string, { type }: NumberSamples): Shift | undefined {
  if (space !== "grey16" || type === "unsigned") return undefined;
  return type === "signed" ? { scale: 1, offset: 32768 } : { scale: 16384, offset: 16384 };
}

function typed(data: Buffer, depth: string): Numbers {
  const types = {
    uchar: Uint8Array,
    char: Int8Array,
    ushort: Uint16Array,
    short: Int16Array,
    uint: Uint32Array,
    int: Int32Array,
    float: Float32Array,
  };
  const type = types[depth as keyof typeof types] as (typeof types)[keyof typeof types] | undefined;
  if (type === undefined) throw new SamplesOutOfRange(`samples of the type ${depth}`);
  return new type(data.buffer as ArrayBuffer, data.byteOffset, data.length / type.BYTES_PER_ELEMENT);
}

async function scale(
  from: Numbers,
  channels: number,
  bands: readonly number[],
  to: Uint8Array | Uint16Array,
  samples: NumberSamples,
  shift: Shift | undefined,
): Promise<void> {
  const { white, colours, isInverted, type } = samples;
  const levels = to.BYTES_PER_ELEMENT === 1 ? 255 : 65535;
  const slack = type === "float" ? tolerance : 0;
  const factor = levels / white;
  const { scale: by, offset } = shift ?? { scale: 1, offset: 0 };
  // libvips inverts 0 to 65535, whatever part of that is used.
  const unused = isInverted ? levels - white : 0;
  let largest = 0;
  let smallest = Infinity;
  for (let start = 0; start < to.length; start += samplesPerPause) {
    if (start > 0) await setImmediate();
    const end = Math.min(to.length, start + samplesPerPause);
    let pixel = Math.floor(start / bands.length);
    let place = start % bands.length;
    for (let i = start; i < end; i += 1) {
      const raw = from[pixel * channels + (bands[place] as number)] as number;
      const value = place < colours ? (raw - offset) / by - unused : (raw - offset) / by;
      if (!(value >= -slack && value <= white + slack)) throw outside(value, samples);
      if (place < colours && value > largest) largest = value;
      if (place < colours && value < smallest) smallest = value;
      to[i] = Math.min(levels, Math.max(0, Math.round(value * factor)));
      place += 1;
      if (place === bands.length) {
        place = 0;
        pixel += 1;
      }
    }
  }
  checkUse(isInverted ? white - smallest : largest, samples);
}

function checkUse(largest: number, { type, bits, white, isWhiteGiven }: NumberSamples): void {
  if (type === "float" || bits <= 8 || isWhiteGiven || largest === 0 || largest > white / 4) return;
  throw new SamplesOutOfRange(
    `its samples end at ${largest}, ${white} is possible, and no MaxSampleValue says which one is white`,
  );
}

function outside(value: number, { white, type }: NumberSamples): SamplesOutOfRange {
  const found = type === "float" && !Number.isNaN(value) ? value.toPrecision(3) : `${value}`;
  return new SamplesOutOfRange(`a sample is ${found}, and its samples go from 0 to ${white}`);
}

/** In place, by the equations of JFIF. */
function toRgb(samples: Uint8Array | Uint16Array): void {
  for (let i = 0; i < samples.length; i += 3) {
    const y = samples[i] as number;
    const cb = (samples[i + 1] as number) - 128;
    const cr = (samples[i + 2] as number) - 128;
    const level = (value: number): number => Math.min(255, Math.max(0, Math.round(value)));
    samples[i] = level(y + 1.402 * cr);
    samples[i + 1] = level(y - 0.344136 * cb - 0.714136 * cr);
    samples[i + 2] = level(y + 1.772 * cb);
  }
}
