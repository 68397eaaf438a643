/**
 * Reads the directories of a TIFF file: classic (TIFF 6.0) and BigTIFF, in both byte orders. Nothing in a file is believed:
 * what points outside the file is absent, a chain that returns to itself ends, and every count has a bound.
 */

/** Numbers that are read in place, because they may be most of the file. */
export interface NumberList {
  readonly count: number;
  /** 0 after the last one. */
  readonly at: (index: number) => number;
}

/** Tags of TIFF 6.0, of its supplements and of DNG. */
export const tiffTag = {
  newSubfileType: 254,
  subfileType: 255,
  width: 256,
  height: 257,
  bitsPerSample: 258,
  compression: 259,
  photometric: 262,
  fillOrder: 266,
  make: 271,
  stripOffsets: 273,
  orientation: 274,
  samplesPerPixel: 277,
  rowsPerStrip: 278,
  stripByteCounts: 279,
  maxSampleValue: 281,
  planarConfiguration: 284,
  colorMap: 320,
  tileWidth: 322,
  tileLength: 323,
  tileOffsets: 324,
  tileByteCounts: 325,
  subdirectories: 330,
  extraSamples: 338,
  sampleFormat: 339,
  jpegTables: 347,
  yCbCrCoefficients: 529,
  yCbCrSubsampling: 530,
  referenceBlackWhite: 532,
  cfaRepeatPattern: 33421,
  cfaPattern: 33422,
  exifDirectory: 34665,
  dngVersion: 50706,
} as const;
export type TiffTag = keyof typeof tiffTag;

const namesOfTags = new Map<number, TiffTag>(
  Object.entries(tiffTag).map(([name, tag]) => [tag, name as TiffTag]),
);

/** Bytes of the field types: 1 to 12 of TIFF 6.0, 13 (a directory's offset) and 16 to 18 of BigTIFF. */
const typeSizes = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8];
const textType = 2;

export interface TiffField {
  /** Integers without a sign, fractions as their quotient, and characters as their codes. */
  readonly values: NumberList;
  readonly type: number;
}

export interface TiffDirectory {
  /** False if any field's values are outside the file, also one of a tag that this module does not name. */
  readonly isComplete: boolean;
  /** Tags whose first field has values outside the file. */
  readonly missing: ReadonlySet<TiffTag>;
  /** The first field of each tag that this module names, unless it is missing. */
  readonly fields: ReadonlyMap<TiffTag, TiffField>;
}

/** Longest chain of directories that is followed, and most subdirectories of one. */
const directoriesAtMost = 1000;
const subdirectoriesAtMost = 32;
/** Most entries that are read of one file: its directories may overlap. */
const entriesAtMost = 200_000;

export class TiffFile {
  readonly #bytes: Buffer;
  readonly #isLittle: boolean;
  readonly #isBig: boolean;
  #entriesLeft = entriesAtMost;

  /** @returns undefined if the bytes do not begin as a TIFF file does */
  static open(bytes: Uint8Array): TiffFile | undefined {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const signature = buffer.toString("latin1", 0, 4);
    const isBig = signature === "II+\0" || signature === "MM\0+";
    if (!isBig && signature !== "II*\0" && signature !== "MM\0*") return undefined;
    return buffer.length < (isBig ? 16 : 8) ? undefined : new TiffFile(buffer, signature[0] === "I", isBig);
  }

  private constructor(bytes: Buffer, isLittle: boolean, isBig: boolean) {
    this.#bytes = bytes;
    this.#isLittle = isLittle;
    this.#isBig = isBig;
  }

  /** The chain of pages; `undefined` as the last one if the chain leads out of the file. */
  *pages(): Generator<TiffDirectory | undefined> {
    const seen = new Set<number>();
    let at = this.#offset(this.#isBig ? 8 : 4);
    while (at !== 0 && !seen.has(at) && seen.size < directoriesAtMost) {
      seen.add(at);
      const read = this.#directory(at);
      yield read?.directory;
      if (read === undefined) return;
      at = read.next;
    }
  }

  /** The directories that a directory's SubIFDs point to; those outside the file are left out. */
  subdirectories(directory: TiffDirectory): TiffDirectory[] {
    const offsets = directory.fields.get("subdirectories")?.values;
    const found: TiffDirectory[] = [];
    for (let i = 0; i < Math.min(offsets?.count ?? 0, subdirectoriesAtMost); i += 1) {
      const read = this.#directory(offsets?.at(i) ?? 0);
      if (read !== undefined) found.push(read.directory);
    }
    return found;
  }

  #directory(at: number): { readonly directory: TiffDirectory; readonly next: number } | undefined {
    const countSize = this.#isBig ? 8 : 2;
    const entrySize = this.#isBig ? 20 : 12;
    // A fraction may be no whole number, and no number at all.
    if (!Number.isSafeInteger(at) || at < 8 || at + countSize > this.#bytes.length) return undefined;
    const count = this.#isBig ? this.#long8(at) : this.#short(at);
    const end = at + countSize + count * entrySize;
    if (end > this.#bytes.length || count > this.#entriesLeft) return undefined;
    this.#entriesLeft -= count;
    const fields = new Map<TiffTag, TiffField>();
    const missing = new Set<TiffTag>();
    let isComplete = true;
    for (let entry = at + countSize; entry < end; entry += entrySize) {
      const field = this.#field(entry);
      if (field === undefined) isComplete = false;
      const name = namesOfTags.get(this.#short(entry));
      // The first of a tag counts, as it does for libtiff: one huge list, repeated thousands of times, would take too long.
      if (name === undefined || fields.has(name) || missing.has(name)) continue;
      if (field === undefined) missing.add(name);
      else fields.set(name, field);
    }
    const pointerSize = this.#isBig ? 8 : 4;
    const next = end + pointerSize > this.#bytes.length ? 0 : this.#offset(end);
    return { directory: { isComplete, missing, fields }, next };
  }

  #field(entry: number): TiffField | undefined {
    const type = this.#short(entry + 2);
    const size = typeSizes[type] ?? 0;
    // Values without a size would pass as inside the file, however many they are.
    const count = size === 0 ? 0 : this.#offset(entry + 4);
    const value = entry + (this.#isBig ? 12 : 8);
    const isInline = count * size <= (this.#isBig ? 8 : 4);
    const start = isInline ? value : this.#offset(value);
    if (start + count * size > this.#bytes.length) return undefined;
    const read = this.#reader(type, size);
    return { type, values: { count, at: (i) => (i < count ? read(start + i * size) : 0) } };
  }

  #reader(type: number, size: number): (at: number) => number {
    if (type === 5 || type === 10) return (at) => this.#long(at) / this.#long(at + 4);
    if (size === 1) return (at) => this.#bytes[at] ?? 0;
    if (size === 2) return (at) => this.#short(at);
    if (size === 4) return (at) => this.#long(at);
    return size === 8 ? (at) => this.#long8(at) : () => 0;
  }

  #short(at: number): number {
    return this.#isLittle ? this.#bytes.readUInt16LE(at) : this.#bytes.readUInt16BE(at);
  }

  #long(at: number): number {
    return this.#isLittle ? this.#bytes.readUInt32LE(at) : this.#bytes.readUInt32BE(at);
  }

  /** Inexact above 2⁵³, which is outside any file. */
  #long8(at: number): number {
    return Number(this.#isLittle ? this.#bytes.readBigUInt64LE(at) : this.#bytes.readBigUInt64BE(at));
  }

  #offset(at: number): number {
    return this.#isBig ? this.#long8(at) : this.#long(at);
  }
}

/** The first value of a field. */
export function firstOf(directory: TiffDirectory, tag: TiffTag): number | undefined {
  const values = directory.fields.get(tag)?.values;
  return values === undefined || values.count === 0 ? undefined : values.at(0);
}

/** A short list as an array; empty if the field is absent. */
export function allOf(directory: TiffDirectory, tag: TiffTag, atMost = 16): number[] {
  const values = directory.fields.get(tag)?.values;
  return Array.from({ length: Math.min(values?.count ?? 0, atMost) }, (_, i) => values?.at(i) ?? 0);
}

/** The start of a text, without the zero at its end; empty if the field is absent or no text. */
export function textOf(directory: TiffDirectory, tag: TiffTag): string {
  if (directory.fields.get(tag)?.type !== textType) return "";
  return String.fromCharCode(...allOf(directory, tag, 64))
    .replace(/\0.*$/s, "")
    .trim();
}
