import { HuffmanCodes, type HuffmanTables, longestCode, standardHuffmanTables } from "./huffman-table.js";
import { isRestart, JpegBits, marker } from "./jpeg-bits.js";
import {
  frameMarkers,
  isSent,
  type JpegFrame,
  type JpegScan,
  missingScan,
  noteScan,
  readFrame,
  readScan,
} from "./jpeg-frame.js";
import { type NonZeros, walkScan } from "./jpeg-scan-walk.js";
import { PictureFault } from "./picture-fault.js";

/** libvips reads no more scans of one picture either. */
const scansAtMost = 100;

type FramedScan = JpegScan & { readonly frame: JpegFrame };

/** A reader of everything before and between the scans of a JPEG. */
class JpegSegments {
  readonly bits: JpegBits;
  /** Undefined if nobody reads codes. */
  readonly #tables: HuffmanTables | undefined;
  readonly #maxPixels: number;
  frame: JpegFrame | undefined;
  restartInterval = 0;
  #scans = 0;

  constructor(bytes: Buffer, maxPixels: number, tables?: HuffmanTables) {
    this.bits = new JpegBits(bytes);
    this.#maxPixels = maxPixels;
    this.#tables = tables;
  }

  /**
   * Moves to the data of the next scan. Yields after each segment, so that the caller can pause.
   * @throws PictureFault if no scan follows; after a first one, any fault of what follows means that the rest is missing
   */
  *nextScan(): Generator<void, FramedScan> {
    try {
      const scan = yield* this.#findScan();
      this.#scans += 1;
      return scan;
    } catch (thrown) {
      throw this.#scans > 0 && thrown instanceof PictureFault ? missingScan() : thrown;
    }
  }

  /**
   * Whether an end marker follows the scans. Nothing else says that arithmetic codes are all there, and what the decoder says of
   * them depends on where its buffer ends.
   */
  *isEnded(): Generator<void, boolean> {
    try {
      for (;;) {
        const code = this.bits.takeMarker();
        if (code === marker.endOfImage) return this.bits.isEnded;
        if (code === marker.startOfImage) return false;
        if (!isRestart(code) && code !== 1) this.#segment();
        yield;
      }
    } catch (thrown) {
      if (thrown instanceof PictureFault) return false;
      throw thrown;
    }
  }

  *#findScan(): Generator<void, FramedScan> {
    for (;;) {
      const code = this.bits.takeMarker();
      if (isRestart(code) || code === 1) continue;
      if (code === marker.endOfImage) throw missingScan();
      if (code === marker.startOfImage) {
        if (this.frame === undefined) throw new PictureFault("broken", "it starts twice");
        throw missingScan();
      }
      const segment = this.#segment();
      if (code === marker.startOfScan) {
        if (this.frame === undefined) throw new PictureFault("broken", "a scan comes before its frame");
        return { ...readScan(this.frame, segment), frame: this.frame };
      }
      this.#read(code, segment);
      yield;
    }
  }

  #segment(): Buffer {
    const { bits } = this;
    const { bytes, at } = bits;
    if (at + 2 > bytes.length) throw missingScan();
    const end = at + bytes.readUInt16BE(at);
    if (end < at + 2) throw new PictureFault("broken", "a segment is shorter than its own length");
    if (end > bytes.length) throw missingScan();
    bits.at = end;
    return bytes.subarray(at + 2, end);
  }

  #read(code: number, segment: Buffer): void {
    if (code === marker.huffmanTables) {
      if (this.#tables !== undefined) readTables(segment, this.#tables);
    } else if (code === marker.restartInterval && segment.length === 2)
      this.restartInterval = segment.readUInt16BE(0);
    else if (code >= 0xc0 && code <= 0xcf && code !== 0xcc && code !== 0xc8) {
      if (this.frame !== undefined || !frameMarkers.includes(code))
        throw new PictureFault("broken", "its frame is not decoded");
      this.frame = readFrame(code, segment, this.#maxPixels);
    }
  }
}

function readTables(segment: Buffer, tables: HuffmanTables): void {
  let at = 0;
  while (at < segment.length) {
    const kind = segment[at] ?? 0;
    const counts = segment.subarray(at + 1, at + 1 + longestCode);
    const symbols = counts.reduce((sum, count) => sum + count, 0);
    const from = at + 1 + longestCode;
    at = from + symbols;
    if (at > segment.length || (kind & 0xef) > 3 || symbols > 256)
      throw new PictureFault("broken", "a table of codes is illegal");
    const codes = new HuffmanCodes(counts, segment.subarray(from, at));
    (kind < 16 ? tables.dc : tables.ac)[kind & 15] = codes;
  }
}

/**
 * Whether the headers of a JPEG's scans leave out a bit of a coefficient. Looks at the first scan only, if that sends all. What
 * else may be odd about them is the decoder's to judge.
 */
export function* lacksScans(bytes: Buffer, maxPixels: number): Generator<void, boolean> {
  const segments = new JpegSegments(bytes, maxPixels);
  try {
    for (let scans = 0; scans < scansAtMost; scans += 1) {
      const scan = yield* segments.nextScan();
      noteScan(scan);
      if (isSent(scan.frame)) return scan.frame.isArithmetic && !(yield* segments.isEnded());
    }
  } catch (thrown) {
    if (thrown instanceof PictureFault) return thrown.state === "truncated";
    throw thrown;
  }
  return false;
}

/** A reader is ahead by the bytes of its bits, and the last block itself may end in zeros. */
const zerosAtMost = 8;

/** Whether data were read from the zeros that an interrupted copy leaves up to the end of a file. @param end of the data */
function isFilledUp(bytes: Buffer, end: number): boolean {
  let last = bytes.length;
  while (last > 0 && bytes[last - 1] === 0) last -= 1;
  return end - last > zerosAtMost;
}

/**
 * Reads every code of a JPEG, as far as it takes to have each block. Yields now and then, so that the caller can pause.
 * @returns where the data of its last scan end
 * @throws PictureFault if the decoder cannot have read all blocks
 */
export function* walkJpeg(bytes: Buffer, maxPixels: number): Generator<void, number> {
  const tables = standardHuffmanTables();
  const segments = new JpegSegments(bytes, maxPixels, tables);
  const nonZeros: NonZeros = new Map();
  const { bits } = segments;
  for (let scans = 0; scans < scansAtMost; scans += 1) {
    const scan = yield* segments.nextScan();
    const { frame } = scan;
    noteScan(scan);
    const { restartInterval } = segments;
    if (!frame.isArithmetic) yield* walkScan({ bits, frame, scan, tables, restartInterval, nonZeros });
    if (!isSent(frame)) continue;
    if (frame.isArithmetic && !(yield* segments.isEnded())) throw missingScan();
    if (isFilledUp(bytes, bits.end)) throw new PictureFault("truncated", "zeros replace its last blocks");
    return bits.end;
  }
  throw new PictureFault("broken", `it has more than ${scansAtMost} scans`);
}
