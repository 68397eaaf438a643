import { PictureFault } from "./picture-fault.js";

/** Chunks that hold a picture, or the first one of a film. */
const pictures = ["VP8 ", "VP8L", "ANMF"];

/**
 * The whole first picture of a WebP that the decoder refused, whatever its file's length says.
 * @throws PictureFault if the chunk of that picture ends after the file
 */
export function wholeWebp(bytes: Buffer): Buffer {
  let at = 12;
  while (at + 8 <= bytes.length) {
    const end = at + 8 + bytes.readUInt32LE(at + 4);
    if (end > bytes.length) break;
    if (pictures.includes(bytes.toString("latin1", at, at + 4))) return closed(bytes.subarray(0, end));
    at = end + (end & 1);
  }
  throw new PictureFault("truncated", "it ends before its picture does");
}

/**
 * The file with more data behind those of its picture: if the decoder reads only this one, data were missing.
 * @param whole what {@link wholeWebp} returns
 */
export function longerWebp(whole: Buffer): Buffer {
  const longer = closed(Buffer.concat([whole, Buffer.alloc(1 << 16)]));
  let at = 12;
  while (!pictures.includes(whole.toString("latin1", at, at + 4))) {
    const size = whole.readUInt32LE(at + 4);
    at += 8 + size + (size & 1);
  }
  longer.writeUInt32LE(longer.length - at - 8, at + 4);
  return longer;
}

/** Writes the file's length, which is even. */
function closed(chunks: Buffer): Buffer {
  const file = Buffer.concat([chunks, Buffer.alloc(chunks.length & 1)]);
  file.writeUInt32LE(file.length - 8, 4);
  return file;
}
