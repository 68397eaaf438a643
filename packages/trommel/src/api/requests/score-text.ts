import { openStore } from "@trommel/common";
import type { CurrentFiles } from "@trommel/coordinator/evaluation";
import type { CallOptions } from "../abortable.js";

/** The files of a scoring in one format of text, one after another; CSV files but the first one without their header. */
export async function* concatenateScores(
  { output, keys }: CurrentFiles,
  { signal }: CallOptions = {},
): AsyncGenerator<Uint8Array> {
  const store = openStore(output);
  try {
    for (const [i, key] of keys.entries()) {
      const bytes = await store.get(key, signal === undefined ? {} : { signal });
      yield i > 0 && key.endsWith(".csv") ? bytes.subarray(headerBytes(bytes)) : bytes;
    }
  } finally {
    store.close();
  }
}

/** Every part has the header; a line break in a quoted name does not end it. */
function headerBytes(csv: Uint8Array): number {
  let isQuoted = false;
  for (let at = 0; at < csv.length; at += 1) {
    if (csv[at] === quote) isQuoted = !isQuoted;
    else if (csv[at] === lineFeed && !isQuoted) return at + 1;
  }
  return csv.length;
}

const quote = 0x22;
const lineFeed = 0x0a;
