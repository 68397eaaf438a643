import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { sha256Latin1 } from "@trommel/common/codec";

/** Bytes hashed without a pause; a large file must not keep the thread from renewing its locks. */
const pieceBytes = 8 * 1024 * 1024;

/** sha256 of a file's bytes in the form of {@link sha256Latin1}; synchronous unless the file is large. */
export function sha256OfFile(bytes: Uint8Array): string | Promise<string> {
  return bytes.byteLength <= pieceBytes ? sha256Latin1(bytes) : sha256InPieces(bytes);
}

async function sha256InPieces(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for (let start = 0; start < bytes.byteLength; start += pieceBytes) {
    if (start > 0) await setImmediate();
    hash.update(bytes.subarray(start, start + pieceBytes));
  }
  return hash.digest("binary");
}
