/** TIFF's own framing (TIFF 6.0, section 2, and BigTIFF), for files that no encoder would write. */

export interface TiffPage {
  /** Values by tag. Texts are ASCII; numbers are longs unless `shorts` names the tag. */
  readonly tags: Readonly<Record<number, string | readonly number[]>>;
  /** One strip of samples, as they are stored. */
  readonly strip: Uint8Array;
  /** Directories that the page's SubIFDs point to. */
  readonly below?: readonly TiffPage[];
}

export interface TiffFraming {
  readonly bigEndian?: boolean;
  readonly bigTiff?: boolean;
}

const shorts = [258, 259, 262, 274, 277, 281, 284, 317, 320, 338, 339, 33421];

/** Lays out the strips first, then the directories. */
export function writeTiff(pages: readonly TiffPage[], framing: TiffFraming = {}): Buffer {
  const { bigEndian = false, bigTiff = false } = framing;
  const parts: Buffer[] = [];
  let size = 0;
  const append = (bytes: Uint8Array): number => {
    const at = size;
    const padded = Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
    parts.push(padded);
    size += padded.length;
    return at;
  };
  const number = (value: number, bytes: number): Buffer => {
    const out = Buffer.alloc(bytes);
    if (bytes === 8 && bigEndian) out.writeBigUInt64BE(BigInt(value));
    else if (bytes === 8) out.writeBigUInt64LE(BigInt(value));
    else if (bigEndian) out.writeUIntBE(value, 0, bytes);
    else out.writeUIntLE(value, 0, bytes);
    return out;
  };
  const pointerSize = bigTiff ? 8 : 4;
  const header = Buffer.from(bigEndian ? "MM" : "II", "latin1");
  append(Buffer.alloc(16));

  /** Writes a directory, and those below it before. @returns its offset */
  const directory = (page: TiffPage, next: number): number => {
    const strip = append(page.strip);
    const below = (page.below ?? []).map((each) => directory(each, 0));
    const tags: Record<number, string | readonly number[]> = {
      259: [1],
      273: [strip],
      279: [page.strip.length],
      ...(below.length === 0 ? {} : { 330: below }),
      ...page.tags,
    };
    const entries = Object.entries(tags).map(([name, value]) => {
      const tag = Number(name);
      const isText = typeof value === "string";
      const width = isText ? 1 : shorts.includes(tag) ? 2 : 4;
      const body = isText
        ? Buffer.from(`${value}\0`, "latin1")
        : Buffer.concat(value.map((each) => number(each, width)));
      const inline = Buffer.alloc(pointerSize);
      if (body.length <= pointerSize) body.copy(inline);
      else number(append(body), pointerSize).copy(inline);
      const type = isText ? 2 : width === 2 ? 3 : 4;
      return Buffer.concat([
        number(tag, 2),
        number(type, 2),
        number(body.length / width, pointerSize),
        inline,
      ]);
    });
    const count = number(entries.length, bigTiff ? 8 : 2);
    return append(Buffer.concat([count, ...entries, number(next, pointerSize)]));
  };

  const first = [...pages].reverse().reduce((next, page) => directory(page, next), 0);
  const start = bigTiff
    ? Buffer.concat([header, number(43, 2), number(8, 2), number(0, 2), number(first, 8)])
    : Buffer.concat([header, number(42, 2), number(first, 4)]);
  const file = Buffer.concat(parts);
  start.copy(file);
  return file;
}

/** Tags of a picture of one strip. */
export function pictureTags(
  width: number,
  height: number,
  bits: readonly number[],
  photometric: number,
): Record<number, readonly number[]> {
  return {
    256: [width],
    257: [height],
    258: bits,
    262: [photometric],
    277: [bits.length],
    278: [height],
  };
}
