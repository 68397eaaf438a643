import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { ObjectInfo, ObjectStore } from "../store/object-store.js";
import { readChunks } from "../store/read-chunks.js";

/** The bytes of an archive by their offsets. */
export interface ByteSource {
  /** Fewer than asked for where the archive ends. The memory may be another call's later: copy what is kept. */
  bytes(offset: number, length: number): Promise<Uint8Array>;
  close(): void;
}

const leastBytes = 64 * 1024;
const mostBytes = 8 * 1024 * 1024;
/** A gap that costs less to read, or to leap over within the next piece, than a request for each file. */
const leapBytes = 1024 * 1024;

/**
 * Reads an object by ranges. What follows one another is read ahead in ever larger pieces; a reader that leaps gets small ones, so that what is
 * leapt over is not read.
 */
export function rangesOf(store: Pick<ObjectStore, "get">, { key, sizeBytes, etag }: ObjectInfo): ByteSource {
  let start = 0;
  let held: Uint8Array = new Uint8Array();
  let ahead = leastBytes;
  return {
    async bytes(offset, length) {
      const end = Math.min(offset + length, sizeBytes);
      if (end <= offset) return new Uint8Array();
      if (offset < start || end > start + held.length) {
        const leaps = offset - (start + held.length) > leapBytes || offset < start;
        ahead = leaps ? leastBytes : Math.min(mostBytes, 4 * ahead);
        const wanted = Math.min(Math.max(end - offset, ahead), sizeBytes - offset);
        held = await store.get(key, {
          range: { offset, length: wanted },
          maxBytes: wanted,
          ...(etag === "" ? {} : { etag }),
        });
        start = offset;
      }
      return held.subarray(offset - start, end - start);
    },
    close: () => undefined,
  };
}

/** A file's text is read once the file after it is known: so much stays. */
const keptBytes = 2 * 1024 * 1024;

/** Reads what a gzipped object holds, from its beginning to its end: a reader that goes back starts again. */
export function gunzipped(store: ObjectStore, object: ObjectInfo): ByteSource {
  let stream: AsyncIterator<Buffer> | undefined;
  let end: () => void = () => undefined;
  let start = 0;
  let held: Buffer = Buffer.alloc(0);
  const restart = (): void => {
    end();
    const gunzip = createGunzip();
    const packed = Readable.from(readChunks(store, object), { objectMode: false });
    // Its error is thrown where the content is read.
    pipeline(packed, gunzip, () => undefined);
    stream = gunzip[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    end = () => void gunzip.destroy();
    start = 0;
    held = Buffer.alloc(0);
  };
  return {
    async bytes(offset, length) {
      if (stream === undefined || offset < start) restart();
      while (start + held.length < offset + length) {
        const dropped = Math.min(held.length, Math.max(0, offset - keptBytes - start));
        const keep = held.subarray(dropped);
        start += dropped;
        const next = await stream?.next().catch((thrown: unknown) => {
          // It yields nothing more, as if the archive ended there: the next call starts again.
          stream = undefined;
          throw thrown;
        });
        if (next === undefined || next.done === true) {
          held = keep;
          break;
        }
        held = keep.length === 0 ? next.value : Buffer.concat([keep, next.value]);
      }
      return held.subarray(Math.max(0, offset - start), Math.max(0, offset + length - start));
    },
    close: () => end(),
  };
}
