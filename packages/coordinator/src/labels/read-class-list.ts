import { TrommelError } from "@trommel/common";
import { placeIn, readLabelFile } from "./label-file.js";
import { tidyText, whyIllegalLabel } from "./text/check-label.js";
import { decodeLabelFile } from "./text/decode-label-file.js";

const what = "the class list";
/** Bounds of a plausible classifier; beyond them the file is not a class list. */
const maxClasses = 100_000;
const maxNameLength = 1000;

interface ListedClass {
  readonly name: string;
  readonly index: number;
  /** In the file, from 1. */
  readonly line: number;
}

/**
 * Reads a class list: lines of `name index`, or one JSON object `{"0": "name", …}`.
 * @param location a path, `file:` or `s3://`
 * @returns the names in order of their indices
 * @throws TrommelError `not-found`; `invalid-argument` naming the file and the line
 */
export async function readClassList(location: string): Promise<string[]> {
  return parseClassList(await readLabelFile(what, location), location);
}

/**
 * The index follows the last white space of its line, so a name may contain blanks. Blank lines are skipped. Indices
 * run from 0 without a gap, in any order; names, which are normalised (Unicode NFC), and indices are unique.
 * @param file for messages
 */
export function parseClassList(bytes: Uint8Array, file: string): string[] {
  const text = decodeLabelFile(bytes, { what, file, code: "invalid-argument" });
  const lines = text.split(/\r\n|\n|\r/);
  const isJson = text.trimStart().startsWith("{");
  const classes = isJson ? classesOfJson(text, lines, file) : classesOfLines(lines, file);
  return inOrder(classes, file);
}

function classesOfLines(lines: readonly string[], file: string): ListedClass[] {
  const classes: ListedClass[] = [];
  for (const [number, raw] of lines.entries()) {
    const text = raw.trim();
    const line = number + 1;
    if (text === "") continue;
    const match = /^(.*\S)\s+(\S+)$/u.exec(text);
    if (match?.[1] === undefined || match[2] === undefined) {
      throw refused(
        file,
        line,
        `${JSON.stringify(text.slice(0, 60))} is not a name, white space and an index`,
      );
    }
    classes.push(listedClass(match[1], match[2], file, line));
  }
  return classes;
}

/** JSON values have no line numbers: a fault is reported with the line on which its key first occurs. */
function classesOfJson(text: string, lines: readonly string[], file: string): ListedClass[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refused(file, 1, `it begins like a JSON object but is not valid JSON (${String(cause)})`);
  }
  const lineOf = linesOfKeys(lines, file);
  return Object.entries(value as Record<string, unknown>).map(([index, name]) => {
    const line = lineOf.get(index) ?? 1;
    if (typeof name !== "string" || name.trim() === "")
      throw refused(file, line, `the class of ${JSON.stringify(index)} is not a name`);
    return listedClass(name.trim(), index, file, line);
  });
}

/** The line of each key. JSON.parse silently keeps the last of two equal keys: they are refused here. */
function linesOfKeys(lines: readonly string[], file: string): ReadonlyMap<string, number> {
  const lineOf = new Map<string, number>();
  for (const [number, text] of lines.entries()) {
    for (const [, key = ""] of text.matchAll(/"([^"\\]*)"\s*:/gu)) {
      const first = lineOf.get(key);
      if (first !== undefined)
        throw refused(file, number + 1, `index ${key} already occurs on line ${first}`);
      lineOf.set(key, number + 1);
    }
  }
  return lineOf;
}

function listedClass(name: string, index: string, file: string, line: number): ListedClass {
  if (!/^\d{1,6}$/.test(index))
    throw refused(file, line, `${JSON.stringify(index.slice(0, 60))} is not an index from 0`);
  if (name.length > maxNameLength)
    throw refused(
      file,
      line,
      `its name has ${name.length} characters, and at most ${maxNameLength} are legal`,
    );
  const tidy = tidyText(name);
  const illegal = whyIllegalLabel(tidy);
  if (illegal !== undefined) throw refused(file, line, illegal);
  return { name: tidy, index: Number(index), line };
}

function inOrder(classes: readonly ListedClass[], file: string): string[] {
  if (classes.length > maxClasses)
    throw refused(file, maxClasses, `it has ${classes.length} classes, and at most ${maxClasses} are legal`);
  if (classes.length < 2)
    throw refused(file, 1, `it has ${classes.length} classes, and a classifier needs at least two`);
  const byIndex = new Map<number, ListedClass>();
  const byName = new Map<string, ListedClass>();
  for (const entry of classes) {
    const sameIndex = byIndex.get(entry.index);
    if (sameIndex !== undefined)
      throw refused(file, entry.line, `index ${entry.index} already occurs on line ${sameIndex.line}`);
    const sameName = byName.get(entry.name);
    if (sameName !== undefined)
      throw refused(
        file,
        entry.line,
        `class ${JSON.stringify(entry.name)} already occurs on line ${sameName.line}`,
      );
    byIndex.set(entry.index, entry);
    byName.set(entry.name, entry);
  }
  const sorted = [...classes].sort((a, b) => a.index - b.index);
  for (const [expected, { index, line }] of sorted.entries()) {
    if (index !== expected)
      throw refused(file, line, `index ${index} comes after a gap: no class has index ${expected}`);
  }
  return sorted.map(({ name }) => name);
}

function refused(file: string, line: number, why: string): TrommelError {
  return new TrommelError(
    "invalid-argument",
    `cannot read ${what} ${placeIn(file, line)}: ${why}. Write one 'name index' a line, indices from 0 without a gap`,
    { context: { file, line } },
  );
}
