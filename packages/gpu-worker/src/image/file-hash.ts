import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { sha256Bytes } from "@trommel/common/codec/canonical-json";

/** Hashed at once; a large file must not keep the thread from renewing its locks. */
const pieceBytes = 8 * 1024 * 1024;

/** sha256 of a file's bytes, 32 bytes. */
export async function sha256OfFile(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes.byteLength <= pieceBytes) return sha256Bytes(bytes);
  const hash = createHash("sha256");
  for (let start = 0; start < bytes.byteLength; start += pieceBytes) {
    if (start > 0) await setImmediate();
    hash.update(bytes.subarray(start, start + pieceBytes));
  }
  return hash.digest();
}
