import { openStore, parseLocation, TrommelError } from "@trommel/common";

/** Label files that a user names: read whole, from a folder or a bucket. */

/** A table of a few million rows fits, and so does the `labels.json` that it becomes, which is one text in memory. */
const maxLabelFileBytes = 256 * 1024 * 1024;

/**
 * @param what the file's role, for messages: "the class list"
 * @param location a path (relative to the working folder), `file:` or `s3://`
 * @throws TrommelError `not-found` naming the file, `too-large`
 */
export async function readLabelFile(what: string, location: string): Promise<Uint8Array> {
  const { folder, key } = splitLocation(what, location);
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

/** A file's location as that of its folder and its key in it. */
function splitLocation(what: string, location: string): { folder: string; key: string } {
  const parsed = parseLocation(location);
  const path = parsed.kind === "file" ? parsed.path : parsed.prefix;
  const slash = path.lastIndexOf("/");
  const key = path.slice(slash + 1);
  if (key === "") {
    throw new TrommelError(
      "invalid-argument",
      `cannot read ${what} ${location}: it names no file. Give the path or s3:// location of one`,
    );
  }
  if (parsed.kind === "file") return { folder: slash <= 0 ? "/" : path.slice(0, slash), key };
  return { folder: `s3://${parsed.bucket}/${path.slice(0, Math.max(0, slash))}`, key };
}

/** A place in a file, as all messages about labels name it. */
export function placeIn(file: string, line: number): string {
  return `${file}, line ${line}`;
}
