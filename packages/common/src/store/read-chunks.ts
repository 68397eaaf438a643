import type { ObjectInfo, ObjectStore } from "./object-store.js";

const chunkBytesByDefault = 8 * 1024 * 1024;

/**
 * An object's bytes from `from` on, in order, a chunk at a time while the next is fetched: at most two are held. The object is the one that
 * was listed, from the first chunk to the last.
 * @throws TrommelError as ObjectStore.get does; `changed` if it was replaced meanwhile
 */
export async function* readChunks(
  store: ObjectStore,
  { key, sizeBytes, etag }: ObjectInfo,
  options: { readonly from?: number; readonly chunkBytes?: number; readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { from = 0, chunkBytes = chunkBytesByDefault, signal } = options;
  const read = (offset: number): Promise<Uint8Array> => {
    const length = Math.min(chunkBytes, sizeBytes - offset);
    const reading = store.get(key, {
      range: { offset, length },
      maxBytes: length,
      ...(etag === "" ? {} : { etag }),
      ...(signal === undefined ? {} : { signal }),
    });
    // Its failure is thrown when its turn comes.
    reading.catch(() => undefined);
    return reading;
  };
  let next = from < sizeBytes ? read(from) : undefined;
  for (let offset = from; next !== undefined;) {
    const chunk = await next;
    offset += chunk.length;
    next = offset < sizeBytes ? read(offset) : undefined;
    yield chunk;
  }
}
