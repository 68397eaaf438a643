import { TrommelError, type ObjectStore } from "@trommel/common";
import { skipHidden } from "../plan/stream-shards.js";
import { placeIn } from "./label-file.js";
import { looksLikeImage, partsOfKey } from "./labelled-images.js";

/** How closely an id names an image: its whole key, or only its file name, with or without the extension. */
type Closeness = "key" | "name";

interface Match {
  /** In Unicode NFC. */
  readonly normalKey: string;
  /** As they are listed: several where keys differ only by their normal form. */
  readonly keys: string[];
  readonly closeness: Closeness;
}

/** A file whose lines begin with ids of images. */
export interface IdFile {
  /** For messages. */
  readonly file: string;
  /** What is done by it, for messages: "label". */
  readonly doing: string;
  /** The line of each id; ids are in Unicode NFC. */
  readonly lineOf: ReadonlyMap<string, number>;
}

/** Finds the images of a prefix that ids mean, in one listing: see {@link matchKeys}. An id that no image has is refused too. */
export async function matchIds(
  source: ObjectStore,
  ids: IdFile,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const matches = await matchKeys(imageKeys(source), ids, source.url);
  for (const [id, line] of ids.lineOf) {
    if (matches.has(id)) continue;
    throw refusedLine(source.url, ids, { id, line }, [
      `no image has the id ${JSON.stringify(id)}`,
      "Remove the line, or put the image under the prefix",
    ]);
  }
  return matches;
}

/** Keys of a prefix that may be images: neither hidden nor unusable. */
async function* imageKeys(source: ObjectStore): AsyncGenerator<string> {
  for await (const { key, unusable } of source.list("", { withUnusable: true }))
    if (unusable === undefined && skipHidden(key) === undefined) yield key;
}

/**
 * Finds the images that ids mean among keys. An id is an image's whole key, its file name, or its file name
 * without the extension. An id that is one image's whole key does not match others by name. Keys and ids match by their normal
 * form (Unicode NFC), so that an id may mean two keys that differ by nothing else.
 * @param dataset where the images are, for messages
 * @returns the keys of each id that an image has, as they are given
 * @throws TrommelError `bad-dataset` naming the file and the line of an id that two images have, or of two ids of one image
 */
export async function matchKeys(
  keys: AsyncIterable<string> | Iterable<string>,
  ids: IdFile,
  dataset: string,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const matches = new Map<string, Match>();
  const ambiguous = new Map<string, readonly [string, string]>();
  const note = (id: string, key: string, normalKey: string, closeness: Closeness): void => {
    if (!ids.lineOf.has(id)) return;
    const existing = matches.get(id);
    if (existing === undefined || (closeness === "key" && existing.closeness === "name")) {
      matches.set(id, { normalKey, keys: [key], closeness });
      ambiguous.delete(id);
    } else if (existing.normalKey === normalKey) {
      existing.keys.push(key);
    } else if (existing.closeness === "name") {
      ambiguous.set(id, [existing.normalKey, normalKey]);
    }
  };
  for await (const key of keys) {
    const normalKey = key.normalize("NFC");
    const { fileName, stem, extension } = partsOfKey(normalKey);
    note(normalKey, key, normalKey, "key");
    if (fileName !== normalKey) note(fileName, key, normalKey, "name");
    if (stem !== fileName && looksLikeImage(extension)) note(stem, key, normalKey, "name");
  }
  checkMatches(dataset, ids, matches, ambiguous);
  return new Map([...matches].map(([id, { keys }]) => [id, keys]));
}

function checkMatches(
  dataset: string,
  ids: IdFile,
  matches: ReadonlyMap<string, Match>,
  ambiguous: ReadonlyMap<string, readonly [string, string]>,
): void {
  const lineOfKey = new Map<string, number>();
  for (const [id, line] of ids.lineOf) {
    const match = matches.get(id);
    if (match === undefined) continue;
    const refused = (...of: [why: string, remedy: string]): TrommelError =>
      refusedLine(dataset, ids, { id, line }, of);
    const quoted = JSON.stringify(id);
    const two = ambiguous.get(id);
    if (two !== undefined)
      throw refused(`two images have the id ${quoted}: ${two.join(" and ")}`, "Give whole keys as ids");
    const earlier = lineOfKey.get(match.normalKey);
    if (earlier !== undefined)
      throw refused(
        `${quoted} is the image ${match.normalKey}, which line ${earlier} names too`,
        "Keep one of them",
      );
    lineOfKey.set(match.normalKey, line);
  }
}

function refusedLine(
  dataset: string,
  { file, doing }: IdFile,
  { id, line }: { readonly id: string; readonly line: number },
  [why, remedy]: readonly [why: string, remedy: string],
): TrommelError {
  return new TrommelError(
    "bad-dataset",
    `cannot ${doing} ${dataset} by ${placeIn(file, line)}: ${why}. ${remedy}`,
    { context: { file, line, id } },
  );
}
