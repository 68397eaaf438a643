import { PictureFault } from "./picture-fault.js";

const codesAtMost = 4096;
/** Ends the data of a frame, and the file. */
const closing = Buffer.from([0, 0x3b]);

/**
 * Counts the pixels of a GIF's first frame from the lengths of its codes (GIF89a, appendix F). Decoders fill in what is missing
 * if the data are closed.
 * @returns where the data of that frame end
 * @throws PictureFault if pixels are missing
 */
export function firstFrameEnd(bytes: Buffer): number {
  const at = firstFrame(bytes);
  const flags = bytes[at + 9] ?? 0;
  const needed = bytes.readUInt16LE(at + 5) * bytes.readUInt16LE(at + 7);
  const data = at + 10 + colourTable(flags);
  const end = dataEnd(bytes, data + 1);
  const isCut = end === bytes.length;
  const pixels = countPixels(bytes, data, needed, isCut);
  if (pixels < needed)
    throw new PictureFault("truncated", "its first frame has fewer pixels than its header");
  return end;
}

/** The bytes up to the end of the first frame, closed. @throws PictureFault if pixels are missing */
export function wholeGif(bytes: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, firstFrameEnd(bytes)), closing]);
}

const colourTable = (flags: number): number => ((flags & 0x80) === 0 ? 0 : 6 << (flags & 7));

/** The place of the first image descriptor. */
function firstFrame(bytes: Buffer): number {
  let at = 13 + colourTable(bytes[10] ?? 0);
  while (bytes[at] === 0x21) {
    at = dataEnd(bytes, at + 2) + 1;
  }
  if (at + 10 >= bytes.length) throw new PictureFault("truncated", "it ends before its first frame");
  if (bytes[at] !== 0x2c) throw new PictureFault("broken", "its first block is no frame");
  return at;
}

/** Skips parts with their length in front, up to an empty one or the end of the file. */
function dataEnd(bytes: Buffer, from: number): number {
  let at = from;
  for (let size = bytes[at] ?? 0; size !== 0; size = bytes[at] ?? 0) at += 1 + size;
  return Math.min(at, bytes.length);
}

/** @param isCut whether the last codes may be bytes that follow a cut */
function countPixels(bytes: Buffer, from: number, needed: number, isCut: boolean): number {
  const first = bytes[from] ?? 0;
  if (first < 1 || first > 11) throw new PictureFault("broken", "its codes have no legal size");
  const clear = 1 << first;
  const lengths = new Uint16Array(codesAtMost).fill(1, 0, clear);
  let [next, size, before, pixels] = [clear + 2, first + 1, 0, 0];
  let [bits, count, at, left] = [0, 0, from + 1, 0];
  while (pixels < needed) {
    while (count < size) {
      if (left === 0) {
        left = bytes[at] ?? 0;
        at += 1;
        if (left === 0) return pixels;
      }
      const byte = bytes[at];
      if (byte === undefined) return pixels;
      bits |= byte << count;
      count += 8;
      at += 1;
      left -= 1;
    }
    const code = bits & ((1 << size) - 1);
    bits >>>= size;
    count -= size;
    if (code === clear) {
      [next, size, before] = [clear + 2, first + 1, 0];
      continue;
    }
    if (code === clear + 1) return pixels;
    if (code > next || (code === next && before === 0))
      throw new PictureFault(isCut ? "truncated" : "broken", "its data contain a code that is not defined");
    // A new string is the one before and one more pixel.
    if (before > 0 && next < codesAtMost) {
      lengths[next] = before + 1;
      next += 1;
      if (next === 1 << size && size < 12) size += 1;
    }
    before = lengths[code] ?? 0;
    pixels += before;
  }
  return pixels;
}
