import { createInflate } from "node:zlib";
import type { PictureState } from "./picture-state.js";

interface PngData {
  /** The data of `IDAT` chunks, in their order. */
  readonly parts: readonly Buffer[];
  /** What inflating them must give, in bytes. */
  readonly rowBytes: number;
}

/** Samples of a pixel by colour type (PNG, 11.2.2). */
const samples = new Map([
  [0, 1],
  [2, 3],
  [3, 1],
  [4, 2],
  [6, 4],
]);

/** Adam7: the first column and row of each pass, and its steps (PNG, 8.2). */
const adam7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** Whether the data of a PNG that the decoder refused have all rows of its picture; a check sum that is wrong makes it broken. */
export async function pngState(bytes: Buffer, signal: AbortSignal): Promise<PictureState> {
  const data = pngData(bytes);
  if (typeof data === "string") return data;
  const inflated = await inflatedBytes(data.parts, data.rowBytes, signal);
  if (inflated.bytes >= data.rowBytes) return "whole";
  // Bytes that follow a cut inside the last part are no fault of the data.
  return inflated.isBroken && !endsInData(bytes) ? "broken" : "truncated";
}

function pngData(bytes: Buffer): PngData | "truncated" | "broken" {
  const parts: Buffer[] = [];
  let rowBytes = 0;
  for (const { type, data, isWhole, isSound } of chunks(bytes)) {
    // An upper-case letter: no decoder may do without this chunk.
    if (isWhole && !isSound && type < "a") return "broken";
    if (type === "IHDR" && isWhole) {
      const length = pngRowBytes(data);
      if (length === undefined) return "broken";
      rowBytes = length;
    } else if (type === "IDAT") parts.push(data);
    else if (type === "IEND") break;
  }
  if (rowBytes === 0) return bytes.length < 33 ? "truncated" : "broken";
  return { parts, rowBytes };
}

function* chunks(
  bytes: Buffer,
): Generator<{ type: string; data: Buffer; isWhole: boolean; isSound: boolean }> {
  let at = 8;
  while (at + 8 <= bytes.length) {
    const end = at + 8 + bytes.readUInt32BE(at);
    const isWhole = end + 4 <= bytes.length;
    const isSound = isWhole && bytes.readUInt32BE(end) === crc32(bytes.subarray(at + 4, end));
    yield {
      type: bytes.toString("latin1", at + 4, at + 8),
      data: bytes.subarray(at + 8, end),
      ...{ isWhole, isSound },
    };
    at = end + 4;
  }
}

/** Whether the file stops inside a chunk of picture data. */
function endsInData(bytes: Buffer): boolean {
  let last = "";
  for (const { type, isWhole } of chunks(bytes)) if (!isWhole) last = type;
  return last === "IDAT";
}

/** @returns undefined if the header is illegal */
function pngRowBytes(header: Buffer): number | undefined {
  const count = samples.get(header[9] ?? -1);
  const depth = header[8] ?? 0;
  if (header.length !== 13 || count === undefined || ![1, 2, 4, 8, 16].includes(depth)) return undefined;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const passes = header[12] === 1 ? adam7 : ([[0, 0, 1, 1]] as const);
  let total = 0;
  for (const [left, top, across, down] of passes) {
    const columns = Math.ceil((width - left) / across);
    // Each row has one more byte, its filter.
    if (columns > 0)
      total += Math.max(0, Math.ceil((height - top) / down)) * (1 + Math.ceil((columns * count * depth) / 8));
  }
  return total;
}

/** How many bytes the data give, counted up to `enough`. */
async function inflatedBytes(
  parts: readonly Buffer[],
  enough: number,
  signal: AbortSignal,
): Promise<{ bytes: number; isBroken: boolean }> {
  let bytes = 0;
  const inflate = createInflate();
  try {
    for (const part of parts) inflate.write(part);
    inflate.end();
    for await (const chunk of inflate) {
      signal.throwIfAborted();
      bytes += (chunk as Buffer).length;
      if (bytes >= enough) break;
    }
    return { bytes, isBroken: false };
  } catch (thrown) {
    signal.throwIfAborted();
    return { bytes, isBroken: (thrown as NodeJS.ErrnoException).code !== "Z_BUF_ERROR" };
  } finally {
    inflate.destroy();
  }
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** PNG, annex D; that of node:zlib is younger than the oldest Node that we run on. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 255] ?? 0);
  return ~crc >>> 0;
}
