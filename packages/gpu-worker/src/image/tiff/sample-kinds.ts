import { photometricOf } from "./choose-picture.js";
import { allOf, firstOf, type TiffDirectory, type TiffTag } from "./directories.js";

/**
 * What the numbers of a TIFF picture mean. libvips casts what is no unsigned integer of 8 or 16 bits to 8 bits as it is, so that
 * a picture of floating-point numbers from 0 to 1 comes out black. What it casts wrongly is read as numbers and scaled
 * by `plain-samples`; what neither can do is refused by name.
 */
export type TiffSamples =
  /** libvips gives the right levels by itself. */
  | { readonly kind: "plain" }
  | ({ readonly kind: "numbers" } & NumberSamples)
  | { readonly kind: "refused"; readonly detail: string };

export interface NumberSamples {
  readonly type: "unsigned" | "signed" | "float";
  readonly bits: number;
  readonly colours: 1 | 3;
  /** The band of opacity; undefined without one. */
  readonly alpha: number | undefined;
  /** The largest number, or what MaxSampleValue says; both are whole numbers of bits. */
  readonly white: number;
  /** Whether the file itself says what is white. */
  readonly isWhiteGiven: boolean;
  /** Whether 0 is white; libvips has inverted the full range then. */
  readonly isInverted: boolean;
  readonly isYCbCr: boolean;
}

const plain = { kind: "plain" } as const;
const refused = (detail: string) => ({ kind: "refused", detail }) as const;

/** Values of PhotometricInterpretation. */
const whiteIsZero = 0;
const blackIsZero = 1;
const rgb = 2;
const palette = 3;
const cmyk = 5;
const yCbCr = 6;
const otherColours: Readonly<Record<number, string>> = {
  4: "a mask",
  8: "CIELab colours",
  9: "ICCLab colours",
  10: "ITULab colours",
  32844: "LogL levels",
  32845: "LogLuv colours",
};

/** Values of Compression that this build of libtiff cannot read. */
const otherCompressions: Readonly<Record<number, string>> = {
  34887: "LERC",
  34712: "JPEG 2000",
  34925: "LZMA",
  50000: "Zstandard",
  50001: "WebP",
  50002: "JPEG XL",
};
const jpegCompression = 7;

/** Most bands behind the colours that are looked at; the count is as the file says. */
const extrasAtMost = 16;
/** Values of ExtraSamples. */
const associatedAlpha = 1;
const unassociatedAlpha = 2;

interface Layout {
  readonly bits: number;
  readonly type: NumberSamples["type"];
  readonly photometric: number;
  readonly bands: number;
  /** Kinds of the bands behind the colours. */
  readonly extras: readonly number[];
}

/** Tags that libtiff refuses a file for if their values are outside it. It ignores the others. */
const indispensable: readonly TiffTag[] = [
  ...(["width", "height", "bitsPerSample", "compression", "photometric", "samplesPerPixel"] as const),
  ...(["stripOffsets", "stripByteCounts", "tileOffsets", "tileByteCounts"] as const),
  ...(["maxSampleValue", "extraSamples", "sampleFormat"] as const),
];

/** Whether nobody can tell a picture's samples, and the decoder refuses it. */
export function lacksSampleTags(directory: TiffDirectory): boolean {
  return indispensable.some((tag) => directory.missing.has(tag));
}

/** @param directory one that has its sample tags */
export function samplesOf(directory: TiffDirectory): TiffSamples {
  const bands = firstOf(directory, "samplesPerPixel") ?? 1;
  const photometric = photometricOf(directory) ?? (bands < 3 ? blackIsZero : rgb);
  const compression = otherCompressions[firstOf(directory, "compression") ?? 1];
  if (compression !== undefined) return refused(`${compression} compression`);
  const colourName = otherColours[photometric];
  if (colourName !== undefined) return refused(colourName);
  const sizes = new Set(allOf(directory, "bitsPerSample"));
  if (sizes.size > 1) return refused("bands of different depths");
  const bits = [...sizes][0] ?? 1;
  const formats = new Set(allOf(directory, "sampleFormat"));
  if (formats.size > 1) return refused("bands of different sample formats");
  const type = ({ 1: "unsigned", 2: "signed", 3: "float", 4: "unsigned" } as const)[[...formats][0] ?? 1];
  if (type === undefined) return refused("complex numbers");
  const colours = photometric === rgb || photometric === yCbCr ? 3 : photometric === cmyk ? 4 : 1;
  const named = allOf(directory, "extraSamples");
  // One band that nothing describes is taken for opacity, as every reader does.
  const extras = named.length === 0 && bands === colours + 1 ? [unassociatedAlpha] : named;
  const isCountable = Number.isInteger(bands) && bands >= colours && bands <= colours + extrasAtMost;
  if (!isCountable) return refused(`${bands} bands of colour`);
  const layout: Layout = {
    ...{ bits, type, photometric, bands },
    extras: Array.from({ length: bands - colours }, (_, i) => extras[i] ?? 0),
  };
  // libtiff takes the numbers of the colours for greys then.
  if (photometric === palette && !directory.fields.has("colorMap"))
    return refused("a palette without colours");
  if (photometric === palette)
    return isUnsigned(layout, 8) && bands === 1 ? plain : refused(`a palette of ${nameOf(layout)}`);
  if (photometric === cmyk) return inkSamples(layout);
  if (photometric === yCbCr) return yCbCrSamples(directory, layout);
  return colourSamples(directory, layout, colours === 3 ? 3 : 1);
}

function inkSamples(layout: Layout): TiffSamples {
  const { bits, type, bands, extras } = layout;
  const isRead = type === "unsigned" && (bits === 8 || bits === 16);
  const isOpaque = bands === 4 || (bands === 5 && extras[0] === unassociatedAlpha);
  return isRead && isOpaque ? plain : refused(`${bands} inks of ${nameOf(layout)}`);
}

/** libvips converts what is compressed as JPEG, and takes other luminance and chrominance for red, green and blue. */
function yCbCrSamples(directory: TiffDirectory, layout: Layout): TiffSamples {
  if (firstOf(directory, "compression") === jpegCompression) return plain;
  const isUsual = (
    tag: "yCbCrSubsampling" | "yCbCrCoefficients" | "referenceBlackWhite",
    usual: number[],
  ) => {
    const found = allOf(directory, tag);
    return (
      found.length === usual.length && usual.every((value, i) => Math.abs(value - (found[i] ?? 0)) < 1e-3)
    );
  };
  // libtiff ignores values outside the file; they are unknown, not the usual ones.
  const isAbsent = (tag: "yCbCrCoefficients" | "referenceBlackWhite") =>
    !directory.fields.has(tag) && !directory.missing.has(tag);
  const isRead =
    layout.bits === 8 &&
    layout.type === "unsigned" &&
    layout.bands === 3 &&
    isUsual("yCbCrSubsampling", [1, 1]) &&
    (isAbsent("yCbCrCoefficients") || isUsual("yCbCrCoefficients", [0.299, 0.587, 0.114])) &&
    (isAbsent("referenceBlackWhite") || isUsual("referenceBlackWhite", [0, 255, 128, 255, 128, 255]));
  if (!isRead) return refused("YCbCr colours, subsampled or of unusual coefficients");
  return { ...numbersOf(directory, layout, 3, undefined), isYCbCr: true };
}

function colourSamples(directory: TiffDirectory, layout: Layout, colours: 1 | 3): TiffSamples {
  const { bits, type, bands, photometric, extras } = layout;
  const name = nameOf(layout);
  const isShort = type === "unsigned" && bits <= 8;
  const isInverted = photometric === whiteIsZero;
  if (bits < 8) return isUnsigned(layout, 4) && bands === 1 ? plain : refused(name);
  const known = type === "float" ? [16, 32] : [8, 16, 32];
  if (!known.includes(bits)) return refused(name);
  if (bands > 5 || (colours === 1 && extras.length > 1)) return refused(`${bands} bands of ${name}`);
  const place = extras.findIndex((kind) => kind === associatedAlpha || kind === unassociatedAlpha);
  const hasUsualAlpha =
    (type === "unsigned" && bits <= 16) || (colours === 3 && extras[place] !== associatedAlpha);
  const isHalf = type === "float" && bits === 16;
  if (place >= 0 && (!hasUsualAlpha || isHalf || (extras[place] === associatedAlpha && extras.length > 1)))
    return refused(`opacity with ${name}`);
  if (isInverted && (type !== "unsigned" || bits > 16)) return refused(`${name} of which 0 is white`);
  if (isShort && (extras.length === 0 || (extras.length === 1 && place === 0))) return plain;
  return numbersOf(directory, layout, colours, place < 0 ? undefined : colours + place);
}

function numbersOf(
  directory: TiffDirectory,
  { bits, type, photometric }: Layout,
  colours: 1 | 3,
  alpha: number | undefined,
): { readonly kind: "numbers" } & NumberSamples {
  const full = type === "float" ? 1 : 2 ** (type === "signed" ? bits - 1 : bits) - 1;
  const given = type === "float" || bits <= 8 ? 0 : Math.max(0, ...allOf(directory, "maxSampleValue"));
  // The tag says what the largest sample is or may be. In both cases it tells how many bits are used.
  const white = given === 0 ? full : Math.min(full, 2 ** Math.ceil(Math.log2(given + 1)) - 1);
  const isInverted = photometric === whiteIsZero;
  return {
    ...{ kind: "numbers", type, bits, colours, alpha, white, isInverted },
    ...{ isWhiteGiven: given > 0, isYCbCr: false },
  };
}

function isUnsigned({ bits, type }: Layout, bitsAtMost: number): boolean {
  return type === "unsigned" && bits <= bitsAtMost && [1, 2, 4, 8].includes(bits);
}

function nameOf({ bits, type }: Layout): string {
  const words = { unsigned: "integers", signed: "signed integers", float: "floating-point numbers" };
  return `${bits}-bit ${words[type]}`;
}
