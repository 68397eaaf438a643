import { createInflate } from "node:zlib";
import { PictureFault } from "./picture-fault.js";

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

/**
 * The whole picture of a PNG that the decoder refused for its end.
 * @throws PictureFault if rows are missing, or a check sum or the data are wrong
 */
export async function wholePng(bytes: Buffer, signal: AbortSignal): Promise<Buffer> {
  const data = pngData(bytes);
  if (typeof data === "string") throw new PictureFault(data, "its chunks are no picture");
  const { parts, rowBytes } = data;
  const inflated = await inflatedBytes(parts, rowBytes, signal);
  if (inflated.bytes < rowBytes) {
    // Bytes that follow a cut inside the last part are no fault of the data.
    const isBroken = inflated.isBroken && !endsInData(bytes);
    throw new PictureFault(isBroken ? "broken" : "truncated", "its data have fewer rows than its header");
  }
  const before = [...chunks(bytes)].find(({ type }) => type === "IDAT");
  const frame = (type: string, content: Buffer): Buffer => {
    const chunk = Buffer.concat([Buffer.alloc(4), Buffer.from(type, "latin1"), content, Buffer.alloc(4)]);
    chunk.writeUInt32BE(content.length, 0);
    chunk.writeUInt32BE(crc32(chunk.subarray(4, -4)), chunk.length - 4);
    return chunk;
  };
  return Buffer.concat([
    bytes.subarray(0, before?.at),
    ...parts.map((part) => frame("IDAT", part)),
    frame("IEND", Buffer.alloc(0)),
  ]);
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

interface PngChunk {
  readonly at: number;
  readonly type: string;
  readonly data: Buffer;
  readonly isWhole: boolean;
  readonly isSound: boolean;
}

function* chunks(bytes: Buffer): Generator<PngChunk> {
  let at = 8;
  while (at + 8 <= bytes.length) {
    const end = at + 8 + bytes.readUInt32BE(at);
    const isWhole = end + 4 <= bytes.length;
    const isSound = isWhole && bytes.readUInt32BE(end) === crc32(bytes.subarray(at + 4, end));
    yield {
      type: bytes.toString("latin1", at + 4, at + 8),
      data: bytes.subarray(at + 8, end),
      ...{ at, isWhole, isSound },
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
