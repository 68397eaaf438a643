import { parquetMetadataAsync, type AsyncBuffer, type FileMetaData } from "hyparquet";
import { messageOf, TrommelError } from "../errors.js";
import type { ObjectInfo, ObjectStore } from "../store/object-store.js";

/** A Parquet file in a store: what its footer says, and its bytes by ranges. */
export interface ParquetObject {
  readonly file: AsyncBuffer;
  readonly metadata: FileMetaData;
}

/**
 * @param name as messages name the object
 * @throws TrommelError `bad-dataset` if it is no Parquet file
 */
export async function openParquet(
  store: Pick<ObjectStore, "get">,
  object: ObjectInfo,
  name: string,
): Promise<ParquetObject> {
  const { key, sizeBytes, etag } = object;
  const file: AsyncBuffer = {
    byteLength: sizeBytes,
    slice: async (start, end = sizeBytes) => {
      const length = end - start;
      if (length <= 0) return new ArrayBuffer(0);
      const bytes = await store.get(key, {
        range: { offset: start, length },
        maxBytes: length,
        ...(etag === "" ? {} : { etag }),
      });
      const { buffer, byteOffset, byteLength } = bytes;
      return byteLength === buffer.byteLength && buffer instanceof ArrayBuffer
        ? buffer
        : (buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
    },
  };
  try {
    if (sizeBytes < 12) throw new Error(`it has ${sizeBytes} bytes`);
    return { file, metadata: await parquetMetadataAsync(file) };
  } catch (thrown) {
    if (thrown instanceof TrommelError) throw thrown;
    throw notParquet(name, thrown);
  }
}

function notParquet(name: string, cause: unknown): TrommelError {
  const why = messageOf(cause);
  return new TrommelError(
    "bad-dataset",
    `cannot read ${name}: it is no whole Parquet file (${why}). Write it again`,
    { cause, context: { object: name } },
  );
}
