import { openStore } from "@trommel/common";
import type { CurrentFiles } from "@trommel/coordinator/evaluation";
import { headOf, readChunks } from "@trommel/common/store";
import type { CallOptions } from "../abortable.js";

const chunkBytes = 1 << 20;

/** The files of a scoring in one format of text, one after another; CSV files but the first one without their header. */
export async function* concatenateScores(
  { output, keys }: CurrentFiles,
  { signal }: CallOptions = {},
): AsyncGenerator<Uint8Array> {
  const store = openStore(output);
  try {
    for (const [i, key] of keys.entries()) {
      const info = await headOf(store, key);
      const chunks = readChunks(store, info, { chunkBytes, ...(signal === undefined ? {} : { signal }) });
      yield* i > 0 && key.endsWith(".csv") ? withoutHeader(chunks) : chunks;
    }
  } finally {
    store.close();
  }
}

/** Every part has the header; a line break in a quoted name does not end it. */
async function* withoutHeader(csv: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isQuoted = false;
  let isHeader = true;
  for await (const chunk of csv) {
    let at = 0;
    for (; isHeader && at < chunk.length; at += 1) {
      if (chunk[at] === quote) isQuoted = !isQuoted;
      else if (chunk[at] === lineFeed && !isQuoted) isHeader = false;
    }
    if (at < chunk.length) yield chunk.subarray(at);
  }
}

const quote = 0x22;
const lineFeed = 0x0a;
