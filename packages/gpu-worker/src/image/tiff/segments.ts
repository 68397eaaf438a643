import { allOf, firstOf, type TiffDirectory } from "./directories.js";

/** Values of Compression. */
export const tiffCompression = {
  none: 1,
  lzw: 5,
  jpeg: 7,
  deflate: 8,
  olderDeflate: 32946,
  packBits: 32773,
} as const;

/** One strip or tile. */
export interface TiffSegment {
  readonly data: Buffer;
  /** Bytes that its rows have when they are not compressed. Rows below the picture may be missing, except in a tile. */
  readonly neededBytes: number;
  /** With the rows that only fill up the last strip. */
  readonly mostBytes: number;
}

/** The strips or tiles of a picture, each of which is compressed by itself. */
export interface TiffSegments {
  readonly compression: number;
  readonly isTiled: boolean;
  /** Bytes of a row of one strip or tile. */
  readonly rowBytes: number;
  /** Rows of a whole strip or tile. */
  readonly rows: number;
  readonly count: number;
  /** @param index below the count */
  readonly at: (index: number) => TiffSegment;
}

/** @returns undefined if the directory does not say how large they are, or stores bits in another order */
export function segmentsOf(directory: TiffDirectory, bytes: Buffer): TiffSegments | undefined {
  const { fields } = directory;
  const isTiled = fields.has("tileWidth");
  const width = firstOf(directory, "width") ?? 0;
  const height = firstOf(directory, "height") ?? 0;
  const columns = isTiled ? (firstOf(directory, "tileWidth") ?? 0) : width;
  const rows = isTiled
    ? (firstOf(directory, "tileLength") ?? 0)
    : Math.min(height, firstOf(directory, "rowsPerStrip") ?? height);
  const bands = firstOf(directory, "samplesPerPixel") ?? 1;
  const planes = firstOf(directory, "planarConfiguration") === 2 ? bands : 1;
  const bits = allOf(directory, "bitsPerSample")[0] ?? 1;
  const rowBytes = Math.ceil((columns * (bands / planes) * bits) / 8);
  const down = Math.ceil(height / rows);
  const needed = planes * down * (isTiled ? Math.ceil(width / columns) : 1);
  const offsets = (fields.get("stripOffsets") ?? fields.get("tileOffsets"))?.values;
  const sizes = (fields.get("stripByteCounts") ?? fields.get("tileByteCounts"))?.values;
  const isKnown = Number.isSafeInteger(needed) && rowBytes > 0 && rows > 0 && Number.isSafeInteger(rowBytes);
  const isUsualOrder = (firstOf(directory, "fillOrder") ?? 1) === 1;
  if (!isKnown || !isUsualOrder || offsets === undefined || sizes === undefined) return undefined;
  const mostBytes = rows * rowBytes;
  return {
    ...{ isTiled, rowBytes, rows },
    compression: firstOf(directory, "compression") ?? tiffCompression.none,
    count: Math.min(needed, offsets.count, sizes.count),
    at: (index) => {
      const left = isTiled ? rows : Math.min(rows, height - (index % down) * rows);
      return {
        ...{ mostBytes, neededBytes: left * rowBytes },
        data: bytes.subarray(offsets.at(index), offsets.at(index) + sizes.at(index)),
      };
    },
  };
}

/** Compressions of bytes, whatever samples those are. */
const ofBytes: readonly number[] = [
  ...[tiffCompression.none, tiffCompression.lzw, tiffCompression.packBits],
  ...[tiffCompression.deflate, tiffCompression.olderDeflate],
];

/**
 * Tiles as the strips of a file of their own, of 8-bit greys without a predictor: libvips refuses a file if libtiff cannot read a strip, and
 * for nothing that libtiff only warns about. Tiles without a byte, which stand for black in sparse files, are left out.
 * @returns undefined if a file of this kind cannot hold them
 */
export function tilesAsStrips(tiles: TiffSegments): Uint8Array | undefined {
  const { compression, rowBytes, rows } = tiles;
  const segments = Array.from({ length: tiles.count }, (_, i) => tiles.at(i).data).filter(
    (data) => data.length > 0,
  );
  const count = segments.length;
  const height = rows * count;
  const directoryAt = 8;
  const entries = 9;
  const listsAt = directoryAt + 2 + entries * 12 + 4;
  const start = listsAt + 8 * count;
  const size = segments.reduce((sum, { length }) => sum + length, start);
  const isHeld = count > 0 && Math.max(height, rowBytes) <= sideAtMost && size < 2 ** 31;
  if (!isHeld || !ofBytes.includes(compression)) return undefined;
  const file = Buffer.alloc(size);
  file.write("II*\0", "latin1");
  file.writeUInt32LE(directoryAt, 4);
  file.writeUInt16LE(entries, directoryAt);
  // A single value is stored where a list would have its offset.
  const list = (at: number, only: number): number => (count === 1 ? only : at);
  const values = [
    [256, 1, rowBytes],
    [257, 1, height],
    [258, 1, 8],
    [259, 1, compression],
    [262, 1, 1],
    [273, count, list(listsAt, start)],
    [277, 1, 1],
    [278, 1, rows],
    [279, count, list(listsAt + 4 * count, size - start)],
  ] as const;
  for (const [i, [tag, length, value]] of values.entries()) {
    const at = directoryAt + 2 + i * 12;
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(longType, at + 2);
    file.writeUInt32LE(length, at + 4);
    file.writeUInt32LE(value, at + 8);
  }
  let at = start;
  for (const [i, data] of segments.entries()) {
    file.writeUInt32LE(at, listsAt + 4 * i);
    file.writeUInt32LE(data.length, listsAt + 4 * (count + i));
    at += data.copy(file, at);
  }
  return file;
}

const longType = 4;
/** Pixels: libvips takes no more. */
const sideAtMost = 10_000_000;
