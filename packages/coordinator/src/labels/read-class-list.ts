import { messageOf } from "@trommel/common";
import { TableFaults } from "./faults/table-faults.js";
import { readLabelFile } from "./label-file.js";
import { tidyText, whyIllegalLabel } from "./text/check-label.js";
import { decodeLabelFile } from "./text/decode-label-file.js";

const what = "the class list";
const doing = `read ${what}`;
const remedy = "Write one 'name index' a line, indices from 0 without a gap";
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
 * @throws TrommelError `not-found`; `invalid-argument` naming the file, and the first faults with their lines
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
  const faults = new TableFaults(file, { code: "invalid-argument", remedy, remedyOfAll: remedy });
  const classes = isJson ? classesOfJson(text, lines, faults) : classesOfLines(lines, faults);
  return inOrder(classes, faults);
}

function classesOfLines(lines: readonly string[], faults: TableFaults): ListedClass[] {
  return [...lines.entries()].flatMap(([number, raw]) => {
    const text = raw.trim();
    const line = number + 1;
    if (text === "") return [];
    const match = /^(.*\S)\s+(\S+)$/u.exec(text);
    if (match?.[1] !== undefined && match[2] !== undefined)
      return listedClass(match[1], match[2], line, faults);
    faults.add(line, `${JSON.stringify(text.slice(0, 60))} is not a name, white space and an index`);
    return [];
  });
}

/** JSON values have no line numbers: a fault is reported with the line on which its key first occurs. */
function classesOfJson(text: string, lines: readonly string[], faults: TableFaults): ListedClass[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw faults.last(doing, 1, `it begins like a JSON object but is not valid JSON (${messageOf(cause)})`);
  }
  const lineOf = linesOfKeys(lines, faults);
  return Object.entries(value as Record<string, unknown>).flatMap(([index, name]) => {
    const line = lineOf.get(index) ?? 1;
    if (typeof name === "string" && name.trim() !== "") return listedClass(name.trim(), index, line, faults);
    faults.add(line, `the class of ${JSON.stringify(index)} is not a name`);
    return [];
  });
}

/** The line of each key. JSON.parse silently keeps the last of two equal keys: they are refused here. */
function linesOfKeys(lines: readonly string[], faults: TableFaults): ReadonlyMap<string, number> {
  const lineOf = new Map<string, number>();
  for (const [number, text] of lines.entries()) {
    for (const [, key = ""] of text.matchAll(/"([^"\\]*)"\s*:/gu)) {
      const first = lineOf.get(key);
      if (first === undefined) lineOf.set(key, number + 1);
      else faults.add(number + 1, `index ${key} already occurs on line ${first}`);
    }
  }
  return lineOf;
}

/** @returns a list of one, or of none after a fault */
function listedClass(name: string, index: string, line: number, faults: TableFaults): ListedClass[] {
  const tidy = tidyText(name);
  const why = !/^\d{1,6}$/.test(index)
    ? `${JSON.stringify(index.slice(0, 60))} is not an index from 0`
    : name.length > maxNameLength
      ? `its name has ${name.length} characters, and at most ${maxNameLength} are legal`
      : whyIllegalLabel(tidy);
  if (why === undefined) return [{ name: tidy, index: Number(index), line }];
  faults.add(line, why);
  return [];
}

function inOrder(classes: readonly ListedClass[], faults: TableFaults): string[] {
  if (classes.length > maxClasses)
    throw faults.last(
      doing,
      maxClasses,
      `it has ${classes.length} classes, and at most ${maxClasses} are legal`,
    );
  if (classes.length < 2 && faults.count === 0)
    throw faults.last(doing, 1, `it has ${classes.length} classes, and a classifier needs at least two`);
  checkUnique(classes, faults);
  // A class that has a fault itself leaves a gap.
  faults.check(doing);
  const sorted = [...classes].sort((a, b) => a.index - b.index);
  for (const [place, { index, line }] of sorted.entries()) {
    const expected = place === 0 ? 0 : (sorted[place - 1]?.index ?? 0) + 1;
    if (index !== expected)
      faults.add(line, `index ${index} comes after a gap: no class has index ${expected}`);
  }
  faults.check(doing);
  return sorted.map(({ name }) => name);
}

function checkUnique(classes: readonly ListedClass[], faults: TableFaults): void {
  const byIndex = new Map<number, ListedClass>();
  const byName = new Map<string, ListedClass>();
  for (const entry of classes) {
    const sameIndex = byIndex.get(entry.index);
    const sameName = byName.get(entry.name);
    if (sameIndex !== undefined)
      faults.add(entry.line, `index ${entry.index} already occurs on line ${sameIndex.line}`);
    else if (sameName !== undefined)
      faults.add(entry.line, `class ${JSON.stringify(entry.name)} already occurs on line ${sameName.line}`);
    if (sameIndex === undefined) byIndex.set(entry.index, entry);
    if (sameName === undefined) byName.set(entry.name, entry);
  }
}
