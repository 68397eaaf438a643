/** What separates the columns of a table. */

/** Tried in this order where nothing names one. */
const usual = [",", ";", "\t", "|"] as const;

export interface Separator {
  readonly delimiter: string;
  /** Bytes of a `sep=` line at the start, which is no part of the table. */
  readonly skipped: number;
}

/** The header is looked for in this much of a file. */
const headBytes = 1 << 16;

/** Excel's own line that names the separator. */
const sepLine = /^"?sep=(.)"?(\r\n|\n|\r|$)/iu;

/**
 * The separator of a table: what was asked for, what its `sep=` line says, or the one of `,`, `;`, tab and `|` by which its header has the
 * columns; if none gives them, the one by which it has the most.
 * @param bytes UTF-8
 * @param asked a character, or `tab`; null if none was
 * @returns the separator, or why it is unknown
 */
export function findSeparator(
  bytes: Uint8Array,
  asked: string | null,
  columns: readonly string[],
): Separator | { readonly why: string } {
  const head = new TextDecoder("utf-8").decode(bytes.subarray(0, headBytes));
  const named = sepLine.exec(head);
  const delimiter = asked === "tab" || asked === "\\t" ? "\t" : asked;
  if (named !== null) {
    const [line, said = ""] = named;
    if (delimiter !== null && delimiter !== said)
      return {
        why: `its first line says that ${nameOf(said)} separates, and the delimiter ${nameOf(delimiter)} was given`,
      };
    return { delimiter: said, skipped: Buffer.byteLength(line, "utf8") };
  }
  if (delimiter !== null) return { delimiter, skipped: 0 };
  const header = firstRecord(head);
  const found = usual.map((by) => ({ by, names: splitHeader(header, by) }));
  const having = found.find(({ names }) => columns.every((column) => names.includes(column)));
  const most = found.reduce((best, other) => (other.names.length > best.names.length ? other : best));
  return { delimiter: (having ?? most).by, skipped: 0 };
}

function nameOf(delimiter: string): string {
  return delimiter === "\t" ? "a tab" : JSON.stringify(delimiter);
}

/** The first line that is not blank; line ends within quotes do not end it. */
function firstRecord(head: string): string {
  const text = head.replace(/^(?:[ \t]*(?:\r\n|\n|\r))+/, "");
  return /^(?:"(?:[^"]|"")*"|[^"\r\n])*/.exec(text)?.[0] ?? "";
}

function splitHeader(header: string, by: string): string[] {
  const names: string[] = [];
  let name = "";
  let quoted = false;
  for (const character of header) {
    if (character === '"') quoted = !quoted;
    else if (character === by && !quoted) {
      names.push(name);
      name = "";
    } else name += character;
  }
  return [...names, name].map((found) => found.trim().normalize("NFC"));
}
