import { endianness } from "node:os";

export interface PlainTiffOptions {
  readonly width: number;
  readonly height: number;
  readonly bits: 8 | 16;
  readonly colours: 1 | 3;
  readonly hasAlpha: boolean;
  readonly icc: Uint8Array | undefined;
  readonly orientation: number | undefined;
}

const short = 3;
const long = 4;
const undefinedType = 7;

/** An uncompressed TIFF of one strip in the machine's byte order, whose samples the caller writes: [height, width, bands]. */
export function plainTiff(options: PlainTiffOptions): {
  bytes: Uint8Array;
  samples: Uint8Array | Uint16Array;
} {
  const { width, height, bits, colours, hasAlpha, icc, orientation = 1 } = options;
  const bands = colours + (hasAlpha ? 1 : 0);
  const samplesBytes = width * height * bands * (bits / 8);
  const iccBytes = icc?.length ?? 0;
  const depths = Array<number>(bands).fill(bits);
  const entries: (readonly [tag: number, type: number, values: readonly number[]])[] = [
    [256, long, [width]],
    [257, long, [height]],
    [258, short, depths],
    [259, short, [1]],
    [262, short, [colours === 3 ? 2 : 1]],
    [273, long, [0]],
    [274, short, [orientation]],
    [277, short, [bands]],
    [278, long, [height]],
    [279, long, [samplesBytes]],
    [284, short, [1]],
    ...(hasAlpha ? [[338, short, [2]] as const] : []),
  ];
  const directoryAt = 8;
  const entryCount = entries.length + (icc === undefined ? 0 : 1);
  const depthsAt = directoryAt + 2 + entryCount * 12 + 4;
  const iccAt = depthsAt + bands * 2;
  const samplesAt = Math.ceil((iccAt + iccBytes) / 8) * 8;
  const buffer = new ArrayBuffer(samplesAt + samplesBytes);
  const view = new DataView(buffer);
  const isLittle = endianness() === "LE";
  new Uint8Array(buffer).set(Buffer.from(isLittle ? "II" : "MM", "latin1"));
  view.setUint16(2, 42, isLittle);
  view.setUint32(4, directoryAt, isLittle);
  view.setUint16(directoryAt, entryCount, isLittle);
  let at = directoryAt + 2;
  const entry = (tag: number, type: number, count: number, write: (value: number) => void): void => {
    view.setUint16(at, tag, isLittle);
    view.setUint16(at + 2, type, isLittle);
    view.setUint32(at + 4, count, isLittle);
    write(at + 8);
    at += 12;
  };
  for (const [tag, type, values] of entries) {
    entry(tag, type, values.length, (value) => {
      const first = tag === 273 ? samplesAt : (values[0] as number);
      const isLong = type === long || values.length > 2;
      if (values.length > 2) view.setUint32(value, depthsAt, isLittle);
      else if (isLong) view.setUint32(value, first, isLittle);
      else for (const [i, each] of values.entries()) view.setUint16(value + i * 2, each, isLittle);
    });
  }
  for (const [i, depth] of depths.entries()) view.setUint16(depthsAt + i * 2, depth, isLittle);
  if (icc !== undefined) {
    entry(34675, undefinedType, iccBytes, (value) => view.setUint32(value, iccAt, isLittle));
    new Uint8Array(buffer).set(icc, iccAt);
  }
  const count = width * height * bands;
  const samples =
    bits === 8 ? new Uint8Array(buffer, samplesAt, count) : new Uint16Array(buffer, samplesAt, count);
  return { bytes: new Uint8Array(buffer), samples };
}
