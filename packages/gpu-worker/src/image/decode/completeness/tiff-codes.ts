import { setImmediate } from "node:timers/promises";
import { tiffCompression, type TiffSegment, type TiffSegments } from "../../tiff/segments.js";
import { inSlices } from "./in-slices.js";
import { inflatedBytes } from "./inflate.js";
import { walkJpeg } from "./jpeg-state.js";
import { PictureFault } from "./picture-fault.js";

/** Strips and tiles between two pauses. */
const segmentsPerPause = 1 << 10;

export interface CodedTiff {
  readonly segments: TiffSegments;
  /** Tables of all strips or tiles (JPEG in TIFF, tag 347); undefined if each has its own. */
  readonly jpegTables: Buffer | undefined;
  readonly maxPixels: number;
  readonly signal: AbortSignal;
}

/**
 * Reads the codes of a TIFF's strips or tiles. libtiff stops as soon as it has enough of a strip, and so before the check sum of one
 * whose codes give too much.
 * @param which `odd` for those alone that look as if an interrupted copy or an erased block had replaced a part of them
 * @throws PictureFault if pixels are missing or wrong. LZW and fax codes are left to the decoder
 */
export async function checkTiffCodes(tiff: CodedTiff, which: "all" | "odd"): Promise<void> {
  const { segments, signal } = tiff;
  const walk = walks.get(segments.compression);
  if (walk === undefined) return;
  for (let i = 0; i < segments.count; i += 1) {
    if (i % segmentsPerPause === 0) await setImmediate(undefined, { signal });
    const segment = segments.at(i);
    if (which === "all" || isOdd(segment.data, segments.compression)) await walk(segment, tiff);
  }
}

const filledBytes = 64;

/** Whether it has a run of zeros or of ones that no picture with detail has, or is a JPEG that does not end at its end. */
function isOdd(data: Buffer, compression: number): boolean {
  if (compression === tiffCompression.none || compression === tiffCompression.packBits) return false;
  for (let at = 0; at + filledBytes <= data.length; at += filledBytes) {
    const first = data[at];
    if ((first === 0 || first === 0xff) && isFilled(data, at, first)) return true;
  }
  if (compression !== tiffCompression.jpeg) return false;
  const end = data.indexOf(endOfImage);
  return end < 0 || end < data.length - 4;
}

const endOfImage = Buffer.from([0xff, 0xd9]);

function isFilled(data: Buffer, start: number, by: number): boolean {
  for (let at = start; at < start + filledBytes; at += 1) if (data[at] !== by) return false;
  return true;
}

type Walk = (segment: TiffSegment, tiff: CodedTiff) => Promise<void> | void;

/** A strip may lack its check sum, and nothing else, and the last one may have all rows. */
const inflate: Walk = async ({ data, neededBytes, mostBytes }, { signal }) => {
  const { bytes, isBroken, isEnded } = await inflatedBytes(data, mostBytes + 1, signal);
  if (!isBroken && bytes < neededBytes) throw short();
  if (isBroken || bytes > mostBytes || (!isEnded && bytes > neededBytes))
    throw new PictureFault("broken", "a strip or tile cannot be inflated");
};

const walks: ReadonlyMap<number, Walk> = new Map([
  [
    tiffCompression.none,
    ({ data, neededBytes }) => {
      if (data.length < neededBytes) throw short();
    },
  ],
  [tiffCompression.deflate, inflate],
  [tiffCompression.olderDeflate, inflate],
  [
    tiffCompression.packBits,
    ({ data, neededBytes }, { signal }) => inSlices(walkPackBits(data, neededBytes), signal),
  ],
  [
    tiffCompression.jpeg,
    async ({ data }, { jpegTables, maxPixels, signal }) => {
      const file =
        jpegTables === undefined ? data : Buffer.concat([jpegTables.subarray(0, -2), data.subarray(2)]);
      await inSlices(walkJpeg(file, maxPixels), signal);
    },
  ],
]);

const runsPerPause = 1 << 16;

/** TIFF 6.0, section 9. A row has whole runs, and so has what is packed. */
function* walkPackBits(data: Buffer, neededBytes: number): Generator<void, void> {
  let [at, bytes, runs] = [0, 0, 0];
  while (bytes < neededBytes) {
    const code = data[at];
    if (code === undefined) throw short();
    if (code < 128) at += 2 + code;
    else if (code > 128) at += 2;
    else at += 1;
    bytes += code < 128 ? code + 1 : code > 128 ? 257 - code : 0;
    if (at > data.length) throw short();
    runs += 1;
    if (runs % runsPerPause === 0) yield;
  }
  if (bytes > neededBytes) throw new PictureFault("broken", "a run goes beyond its strip or tile");
}

function short(): PictureFault {
  return new PictureFault("truncated", "the data of a strip or tile end before it does");
}
