import { isMap, LineCounter, parseDocument, type Document } from "yaml";

/** A bound of repeated aliases: real recipes repeat few, and nested ones could fill the memory. */
const maxAliasCount = 100;

/** The line, from 1, on which a field is written; undefined if the text does not contain it. */
export type LineOf = (path: readonly PropertyKey[]) => number | undefined;

/**
 * Parses one YAML (or JSON) document to what JSON can hold.
 * @throws Error in the parser's words; also for what it would only warn of (an unknown tag), and for an alias inside
 *   its own anchor
 */
export function parseYamlText(text: string): unknown {
  return parseYamlLines(text).value;
}

/**
 * Like parseYamlText, with the lines of the fields.
 * @throws Error as parseYamlText does; the parser's own name the line
 */
export function parseYamlLines(text: string): { value: unknown; lineOf: LineOf } {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { logLevel: "error", lineCounter });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) throw fault;
  const value: unknown = document.toJS({ maxAliasCount });
  try {
    JSON.stringify(value);
  } catch (cause) {
    throw new Error("an alias refers to a value that contains it, or values are nested too deeply", {
      cause,
    });
  }
  return { value, lineOf: (path) => lineOfField(document, lineCounter, path) };
}

function lineOfField(
  document: Document,
  lineCounter: LineCounter,
  path: readonly PropertyKey[],
): number | undefined {
  let line: number | undefined;
  let node: unknown = document.contents;
  for (const name of path) {
    const pair = isMap(node) ? node.items.find(({ key }) => String(key) === String(name)) : undefined;
    if (pair === undefined) return undefined;
    const range = (pair.key as { range?: readonly number[] } | null)?.range;
    if (range?.[0] !== undefined) line = lineCounter.linePos(range[0]).line;
    node = pair.value;
  }
  return line;
}
