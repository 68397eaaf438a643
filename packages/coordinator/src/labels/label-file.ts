import { openStore, TrommelError } from "@trommel/common";
import { splitLocation } from "@trommel/common/store";

/** Label files that a user names: read whole, from a folder or a bucket. */

/** A table of a few million rows fits, and so does the `labels.json` that it becomes, which is one text in memory. */
const maxLabelFileBytes = 256 * 1024 * 1024;

/**
 * @param what the file's role, for messages: "the class list"
 * @param location a path (relative to the working folder), `file:` or `s3://`
 * @throws TrommelError `not-found` naming the file, `too-large`
 */
export async function readLabelFile(what: string, location: string): Promise<Uint8Array> {
  const { folder, key } = splitLocation(location);
  if (key === "")
    throw new TrommelError(
      "invalid-argument",
      `cannot read ${what} ${location}: it names no file. Give the path or s3:// location of one`,
    );
  const store = openStore(folder);
  try {
    return await store.get(key, { maxBytes: maxLabelFileBytes });
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found") throw thrown;
    throw new TrommelError(
      "not-found",
      `cannot read ${what} ${location}: no such file (is it a folder?). Give the path or s3:// location of one`,
      { cause: thrown, context: { location } },
    );
  } finally {
    store.close();
  }
}

/** A place in a file, as all messages about labels name it. */
export function placeIn(file: string, line: number): string {
  return `${file}, line ${line}`;
}
