import { skipByName, type KeyFilter } from "../listing/key-filter.js";
import { explainIds } from "./faults/explain-ids.js";
import type { TableFaults } from "./faults/table-faults.js";
import { looksLikeImage, partsOfKey, type LabelledPlace } from "./labelled-images.js";
import { placedOddCharacters, quoteVisibly } from "./text/check-label.js";

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
  /** The line of each id; ids are in Unicode NFC. */
  readonly lineOf: ReadonlyMap<string, number>;
  /** Takes what is wrong with an id. */
  readonly faults: TableFaults;
}

/**
 * Finds the images of a prefix that ids mean, in one listing: see {@link matchKeys}. An id that no image has is a fault too, unless a
 * pattern left that image out.
 */
export async function matchIds(
  source: LabelledPlace["source"],
  filter: KeyFilter,
  ids: IdFile,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const leftOut = new Set<string>();
  const note = (key: string): void => {
    for (const { id } of idsOf(key.normalize("NFC"))) if (ids.lineOf.has(id)) leftOut.add(id);
  };
  const matches = await matchKeys(imageKeys(source, filter, note), ids);
  const unknown = [...ids.lineOf.keys()].filter((id) => !matches.has(id) && !leftOut.has(id));
  if (unknown.length > 0) await addUnknown(unknown, () => imageKeys(source, filter), ids);
  return matches;
}

/** @param keysOf lists the images once more: what an id may mean is known only when it matches nothing */
async function addUnknown(
  unknown: readonly string[],
  keysOf: () => AsyncIterable<string>,
  { lineOf, faults }: IdFile,
): Promise<void> {
  const { differences, sentences, saidOf } = await explainIds(unknown, keysOf());
  const common = sentences === "" ? await noneOf(unknown, keysOf(), lineOf) : sentences;
  let explained = 0;
  for (const id of unknown) {
    const unseen = placedOddCharacters(id);
    const different = differences.get(id);
    const why = `no image has the id ${quoteVisibly(id)}`;
    const line = lineOf.get(id) ?? 1;
    if (unseen.length === 0 && (sentences === "" || saidOf.has(id))) explained += 1;
    if (unseen.length > 0)
      faults.add(line, `${why}, which contains ${unseen.join(", ")}`, "Remove or replace what is not seen");
    else if (different !== undefined)
      faults.add(line, `${why}: it is ${quoteVisibly(different.key)} ${different.what}`, different.remedy);
    else faults.add(line, why, "Remove the line, or put the image under the prefix");
  }
  if (common !== "") faults.explain(common, explained);
}

/** Says of a table of which no id is an image what the keys look like; nothing of another one. */
async function noneOf(
  unknown: readonly string[],
  keys: AsyncIterable<string>,
  lineOf: IdFile["lineOf"],
): Promise<string> {
  if (unknown.length < lineOf.size) return "";
  for await (const key of keys)
    return `None of its ${unknown.length} ids, such as ${quoteVisibly(unknown[0] ?? "")}, is of an image, and ${quoteVisibly(key)} is the key of one. Give keys or file names of these images.`;
  return "";
}

/** Keys of a prefix that may be images: neither hidden, litter nor unusable. @param onLeftOut receives those that patterns leave out */
async function* imageKeys(
  source: LabelledPlace["source"],
  filter: KeyFilter,
  onLeftOut: (key: string) => void = () => undefined,
): AsyncGenerator<string> {
  for await (const { key, unusable } of source.list("", { withUnusable: true })) {
    if (unusable !== undefined || skipByName(key) !== undefined) continue;
    if (filter.skipByPattern(key) === undefined) yield key;
    else onLeftOut(key);
  }
}

/** The ids by which a normalised key may be named, and how closely each names it. */
function* idsOf(normalKey: string): Generator<{ readonly id: string; readonly closeness: Closeness }> {
  const { fileName, stem, extension } = partsOfKey(normalKey);
  yield { id: normalKey, closeness: "key" };
  if (fileName !== normalKey) yield { id: fileName, closeness: "name" };
  if (stem !== fileName && looksLikeImage(extension)) yield { id: stem, closeness: "name" };
}

/**
 * Finds the images that ids mean among keys. An id is an image's whole key, its file name, or its file name
 * without the extension. An id that is one image's whole key does not match others by name. Keys and ids match by their normal
 * form (Unicode NFC), so that an id may mean two keys that differ by nothing else. An id that two images have, and two ids of one
 * image, are faults of their lines.
 * @returns the keys of each id that an image has, as they are given
 */
export async function matchKeys(
  keys: AsyncIterable<string> | Iterable<string>,
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
  for await (const key of keys) {
    const normalKey = key.normalize("NFC");
    for (const { id, closeness } of idsOf(normalKey)) note(id, key, normalKey, closeness);
  }
  checkMatches(ids, matches, ambiguous);
  return new Map([...matches].map(([id, { keys }]) => [id, keys]));
}

function checkMatches(
  { lineOf, faults }: IdFile,
  matches: ReadonlyMap<string, Match>,
  ambiguous: ReadonlyMap<string, readonly [string, string]>,
): void {
  const lineOfKey = new Map<string, number>();
  for (const [id, line] of lineOf) {
    const match = matches.get(id);
    if (match === undefined) continue;
    const quoted = quoteVisibly(id);
    const two = ambiguous.get(id);
    if (two !== undefined) {
      faults.add(line, `two images have the id ${quoted}: ${two.join(" and ")}`, "Give whole keys as ids");
      continue;
    }
    const earlier = lineOfKey.get(match.normalKey);
    if (earlier === undefined) lineOfKey.set(match.normalKey, line);
    else
      faults.add(
        line,
        `${quoted} is the image ${match.normalKey}, which line ${earlier} names too`,
        "Keep one of them",
      );
  }
}
