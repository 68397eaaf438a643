import { tiffEndsEarly } from "../tiff/tiff-end.js";
import type { DecodableFormat } from "./image-format.js";

/**
 * Whether a file stops before its own structure says that it ends. Used only for files that the decoder refused, to
 * distinguish a truncated download from broken content. Yields so that the caller can pause.
 */
export function* endsEarly(
  bytes: Uint8Array,
  format: Extract<DecodableFormat, "avif" | "tiff">,
): Generator<void, boolean> {
  if (format === "tiff") return yield* tiffEndsEarly(bytes);
  return boxesEndEarly(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
}

/** ISO base media: boxes of stated size; 0 means "to the end of the file", 1 a 64-bit size. */
function boxesEndEarly(buffer: Buffer): boolean {
  let at = 0;
  while (at + 8 <= buffer.length) {
    const size = buffer.readUInt32BE(at);
    if (size === 0) return false;
    if (size === 1 && at + 16 > buffer.length) return true;
    const whole = size === 1 ? Number(buffer.readBigUInt64BE(at + 8)) : size;
    if (whole < 8) return false;
    at += whole;
  }
  return at !== buffer.length;
}
