import { inSlices } from "./in-slices.js";
import { inflatedBytes, pieces } from "./inflate.js";
import { PictureFault } from "./picture-fault.js";

/** A chunk without its data: length, type and check sum. */
const framing = 12;

interface PngData {
  /** What comes before the first `IDAT` chunk. */
  readonly before: Buffer;
  /** The data of all `IDAT` chunks, joined. */
  readonly data: Buffer;
  /** Whether the file ends inside one of them. */
  readonly isCut: boolean;
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
  const { before, data, rowBytes, isCut } = await inSlices(pngData(bytes), signal);
  const inflated = await inflatedBytes(data, rowBytes, signal);
  if (inflated.bytes < rowBytes) {
    // Bytes that follow a cut inside the last part are no fault of the data.
    const isBroken = inflated.isBroken && !isCut;
    throw new PictureFault(isBroken ? "broken" : "truncated", "its data have fewer rows than its header");
  }
  const file = Buffer.alloc(before.length + data.length + 2 * framing);
  before.copy(file);
  const at = await inSlices(writeChunk(file, before.length, "IDAT", data), signal);
  await inSlices(writeChunk(file, at, "IEND", Buffer.alloc(0)), signal);
  return file;
}

/** @returns the place behind the chunk */
function* writeChunk(file: Buffer, at: number, type: string, data: Buffer): Generator<void, number> {
  const end = file.writeUInt32BE(data.length, at) + 4 + data.length;
  file.write(type, at + 4, "latin1");
  data.copy(file, at + 8);
  return file.writeUInt32BE(yield* crc32(file.subarray(at + 4, end)), end);
}

/** Copies the data out as it goes: a file may have millions of chunks, and they may be empty. */
function* pngData(bytes: Buffer): Generator<void, PngData> {
  const data = Buffer.alloc(bytes.length);
  let [length, rowBytes, isCut] = [0, 0, false];
  let first: number | undefined;
  for (let at = 8; at + 8 <= bytes.length;) {
    const type = bytes.toString("latin1", at + 4, at + 8);
    if (type === "IEND") break;
    const end = at + 8 + bytes.readUInt32BE(at);
    const isWhole = end + 4 <= bytes.length;
    // An upper-case letter: no decoder may do without this chunk.
    if (isWhole && type < "a" && bytes.readUInt32BE(end) !== (yield* crc32(bytes.subarray(at + 4, end))))
      throw unlike("broken");
    if (type === "IHDR" && isWhole) {
      const expected = pngRowBytes(bytes.subarray(at + 8, end));
      if (expected === undefined) throw unlike("broken");
      rowBytes = expected;
    } else if (type === "IDAT") {
      first ??= at;
      length += bytes.copy(data, length, at + 8, end);
      isCut = !isWhole;
    }
    at = end + 4;
    yield;
  }
  if (rowBytes === 0) throw unlike(bytes.length < 33 ? "truncated" : "broken");
  return { before: bytes.subarray(0, first), data: data.subarray(0, length), rowBytes, isCut };
}

const unlike = (state: PictureFault["state"]): PictureFault =>
  new PictureFault(state, "its chunks are no picture");

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

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** PNG, annex D; that of node:zlib is younger than the oldest Node that we run on. */
function* crc32(bytes: Buffer): Generator<void, number> {
  let crc = 0xffffffff;
  for (const piece of pieces(bytes)) {
    for (const byte of piece) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 255] ?? 0);
    yield;
  }
  return ~crc >>> 0;
}
