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

/**
 * Finds the images of a prefix that ids mean, in one listing. An id is an image's whole key, its file name, or its file name
 * without the extension. An id that is one image's whole key does not match others by name. Keys and ids match by their normal
 * form (Unicode NFC), so that an id may mean two keys that differ by nothing else.
 * @returns the keys of each id, as the prefix lists them
 * @throws TrommelError `bad-dataset` naming the file and the line of an id that no image has, that two have, or of two
 *   ids of one image
 */
export async function matchIds(
  source: ObjectStore,
  ids: IdFile,
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
  for await (const { key, unusable } of source.list("", { withUnusable: true })) {
    if (unusable !== undefined || skipHidden(key) !== undefined) continue;
    const normalKey = key.normalize("NFC");
    const { fileName, stem, extension } = partsOfKey(normalKey);
    note(normalKey, key, normalKey, "key");
    if (fileName !== normalKey) note(fileName, key, normalKey, "name");
    if (stem !== fileName && looksLikeImage(extension)) note(stem, key, normalKey, "name");
  }
  checkMatches(source.url, ids, matches, ambiguous);
  return new Map([...matches].map(([id, { keys }]) => [id, keys]));
}

function checkMatches(
  dataset: string,
  { file, doing, lineOf }: IdFile,
  matches: ReadonlyMap<string, Match>,
  ambiguous: ReadonlyMap<string, readonly [string, string]>,
): void {
  const lineOfKey = new Map<string, number>();
  for (const [id, line] of lineOf) {
    const match = matches.get(id);
    const refused = (why: string, remedy: string): TrommelError =>
      new TrommelError(
        "bad-dataset",
        `cannot ${doing} ${dataset} by ${placeIn(file, line)}: ${why}. ${remedy}`,
        { context: { file, line, id } },
      );
    const quoted = JSON.stringify(id);
    if (match === undefined)
      throw refused(`no image has the id ${quoted}`, "Remove the line, or put the image under the prefix");
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
