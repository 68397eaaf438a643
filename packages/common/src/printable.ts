/**
 * Text for a terminal or a log. Names of files and labels may hold characters that move the cursor, clear the screen, turn
 * the writing direction or end a line; they are shown as JSON writes them, so that JSON stays the same JSON.
 * @param options.lines for a text of ours that has lines and tabs of its own; names in it are made printable before
 */
export function printable(text: string, options: { readonly lines?: boolean } = {}): string {
  const kept = options.lines === true ? "\n\t" : "";
  return text.replaceAll(unprintable, (character) =>
    kept.includes(character) ? character : escaped(character),
  );
}

/** Controls (C0, DEL, C1), line and paragraph separators, marks of direction, and halves of characters. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}\p{Surrogate}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const shortEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(character: string): string {
  return shortEscapes[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** What a logger is given, its texts made printable. A line of JSON does that for the values of objects. */
export function printableArguments(args: readonly unknown[]): unknown[] {
  return args.map((part) => (typeof part === "string" ? printable(part, { lines: true }) : part));
}
