import { looksLikeImage, partsOfKey } from "../labelled-images.js";
import { quoteVisibly, withoutUnseen } from "../text/check-label.js";

/**
 * Finds what ids that no image has differ by from the keys that they seem to mean: usually all of them differ alike. Only a message
 * depends on it, so both sides are bounded.
 */
const idsAtMost = 10_000;
const keysAtMost = 100_000;
/** Explanations in one message, the most frequent ones. */
const saidAtMost = 3;

interface Difference {
  /** Follows "the key": `with "./" in front of it`. */
  readonly what: string;
  readonly remedy: string;
}

export interface ExplainedIds {
  /** By id, each with the key that it seems to mean. */
  readonly differences: ReadonlyMap<string, Difference & { readonly key: string }>;
  /** What most of them have in common, in sentences; empty if nothing was found. */
  readonly sentences: string;
  /** The ids of which the sentences say all. */
  readonly saidOf: ReadonlySet<string>;
}

export async function explainIds(
  ids: readonly string[],
  keys: AsyncIterable<string> | Iterable<string>,
): Promise<ExplainedIds> {
  const idsByStem = new Map<string, string[]>();
  for (const id of ids.slice(0, idsAtMost)) {
    const stem = stemOf(visiblePath(id));
    const others = idsByStem.get(stem);
    if (others === undefined) idsByStem.set(stem, [id]);
    else others.push(id);
  }
  const differences = new Map<string, Difference & { key: string }>();
  let seen = 0;
  for await (const key of keys) {
    seen += 1;
    if (seen > keysAtMost) break;
    const normalKey = key.normalize("NFC");
    for (const id of idsByStem.get(stemOf(normalKey)) ?? []) {
      if (differences.has(id)) continue;
      const difference = differenceOf(id, normalKey);
      if (difference !== undefined) differences.set(id, { ...difference, key: normalKey });
    }
  }
  const isExact = ids.length <= idsAtMost && seen <= keysAtMost;
  return { differences, ...sentencesOf(differences, isExact) };
}

function sentencesOf(
  differences: ExplainedIds["differences"],
  isExact: boolean,
): Pick<ExplainedIds, "sentences" | "saidOf"> {
  const groups = new Map<string, { ids: string[]; example: string }>();
  for (const [id, { what, remedy, key }] of differences) {
    const text = `${what}, such as ${quoteVisibly(id)} for ${quoteVisibly(key)}. ${remedy}.`;
    const known = groups.get(what);
    if (known === undefined) groups.set(what, { ids: [id], example: text });
    else known.ids.push(id);
  }
  const said = [...groups.values()].sort((a, b) => b.ids.length - a.ids.length).slice(0, saidAtMost);
  const sentences = said.map(({ ids: { length: count }, example }) => {
    const number = isExact ? String(count) : `at least ${count}`;
    return `${count === 1 ? "1 id is a key" : `${number} ids are keys`} ${example}`.replace(/^a/, "A");
  });
  return { sentences: sentences.join(" "), saidOf: new Set(said.flatMap(({ ids }) => ids)) };
}

/** By what an id differs from a key that has the same file name, case and extension apart; undefined if it means another. */
function differenceOf(id: string, key: string): Difference | undefined {
  const path = visiblePath(id);
  const [own, its] = [splitPath(path), splitPath(key)];
  const folders = folderDifference(own.before, its.before);
  if (folders === undefined) return undefined;
  const found = [
    ...(path === withoutUnseen(id)
      ? []
      : [{ what: "with \\ instead of /", remedy: "write / between folders" }]),
    ...folders.found,
    ...extensionDifference(own, its),
    ...(folders.isOtherCase || isOtherCase(own.extension, its.extension)
      ? [{ what: "in another case", remedy: "write upper and lower case as in the keys" }]
      : []),
  ];
  if (found.length === 0) return undefined;
  const remedy = found.map((one) => one.remedy).join(", and ");
  return {
    what: found.map(({ what }) => what).join(" and "),
    remedy: `${remedy.slice(0, 1).toUpperCase()}${remedy.slice(1)}`,
  };
}

/** @returns undefined if neither path is the end of the other one, case apart */
function folderDifference(
  path: string,
  key: string,
): { readonly found: Difference[]; readonly isOtherCase: boolean } | undefined {
  const before = (folder: string): Difference[] => [
    { what: `with ${quoteVisibly(folder)} in front`, remedy: `remove ${quoteVisibly(folder)}` },
  ];
  const [mine, theirs] = [path.toLowerCase(), key.toLowerCase()];
  if (mine === theirs) return { found: [], isOtherCase: path !== key };
  if (mine.endsWith(`/${theirs}`))
    return { found: before(path.slice(0, -key.length)), isOtherCase: !path.endsWith(key) };
  if (theirs.endsWith(`/${mine}`)) {
    const folder = quoteVisibly(key.slice(0, -path.length));
    // A file name alone is a legal id.
    const found = mine.includes("/") ? [{ what: `without ${folder} in front`, remedy: `add ${folder}` }] : [];
    return { found, isOtherCase: !key.endsWith(path) };
  }
  const inner = mine.startsWith("./") ? folderDifference(path.slice(2), key) : undefined;
  return inner && { ...inner, found: [...before("./"), ...inner.found] };
}

function extensionDifference(own: SplitPath, its: SplitPath): Difference[] {
  if (own.extension.toLowerCase() === its.extension.toLowerCase()) return [];
  const [named, right] = [quoteVisibly(own.extension), quoteVisibly(its.extension)];
  if (own.extension !== "")
    return [{ what: `with the extension ${named} instead of ${right}`, remedy: `write ${right}` }];
  // Without an extension a file name alone is a legal id.
  return own.before.includes("/") ? [{ what: `without the extension ${right}`, remedy: `add ${right}` }] : [];
}

function isOtherCase(extension: string, other: string): boolean {
  return extension !== other && extension.toLowerCase() === other.toLowerCase();
}

function visiblePath(id: string): string {
  return withoutUnseen(id).replaceAll("\\", "/");
}

interface SplitPath {
  readonly before: string;
  /** As it is written, with its dot. */
  readonly extension: string;
}

/** An image's extension; one that no image has is a part of the name. */
function splitPath(path: string): SplitPath {
  const { extension } = partsOfKey(path);
  const length = looksLikeImage(extension) ? extension.length : 0;
  return { before: path.slice(0, path.length - length), extension: path.slice(path.length - length) };
}

function stemOf(path: string): string {
  const { before } = splitPath(path);
  return before.slice(before.lastIndexOf("/") + 1).toLowerCase();
}
