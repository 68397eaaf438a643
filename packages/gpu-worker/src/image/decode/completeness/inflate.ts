import { Readable } from "node:stream";
import { createInflate } from "node:zlib";

/** Read before a pause. */
const pieceBytes = 1 << 16;

/** Given by zlib at a time: with its own 16 KiB each, a blank picture would take four times as long. */
const chunkSize = 1 << 18;

export interface InflatedBytes {
  readonly bytes: number;
  /** Whether they are no data of zlib; also if their check sum is wrong. */
  readonly isBroken: boolean;
  /** Whether there is a check sum after the last one, and right. */
  readonly isEnded: boolean;
}

/** How many bytes data in the format of zlib give, counted up to `enough`: what follows those is not read. */
export async function inflatedBytes(
  data: Buffer,
  enough: number,
  signal: AbortSignal,
): Promise<InflatedBytes> {
  let bytes = 0;
  const source = Readable.from(pieces(data), { highWaterMark: 1 });
  const inflate = source.pipe(createInflate({ chunkSize }));
  try {
    for await (const chunk of inflate) {
      signal.throwIfAborted();
      bytes += (chunk as Buffer).length;
      if (bytes >= enough) return { bytes, isBroken: false, isEnded: false };
    }
    return { bytes, isBroken: false, isEnded: true };
  } catch (thrown) {
    signal.throwIfAborted();
    const isBroken = (thrown as NodeJS.ErrnoException).code !== "Z_BUF_ERROR";
    return { bytes, isBroken, isEnded: false };
  } finally {
    source.destroy();
    inflate.destroy();
  }
}

export function* pieces(data: Buffer): Generator<Buffer, void> {
  for (let at = 0; at < data.length; at += pieceBytes) yield data.subarray(at, at + pieceBytes);
}
