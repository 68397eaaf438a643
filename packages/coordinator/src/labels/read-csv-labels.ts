import { Readable } from "node:stream";
import { parse, type Info } from "csv-parse";
import { readLabelFile } from "./label-file.js";
import { readHeader, type CsvColumns, type Header } from "./read-header.js";
import { findSeparator } from "./separator.js";
import type { TableFaults } from "./faults/table-faults.js";
import { quoteVisibly, tidyText, whyIllegalLabel } from "./text/check-label.js";
import { toUtf8 } from "./text/decode-label-file.js";
import { findLookAlikes, shapeOf } from "./text/look-alikes.js";

const what = "the labels";
const doing = `read ${what}`;

/** A row of the table: the id of its image, and the image's label. */
export interface CsvRow {
  readonly label: string;
  /** In the file, from 1. */
  readonly line: number;
  /** What the other columns hold that were asked for, in that order. */
  readonly others: readonly string[];
}

/** How a table is written. */
export interface CsvForm {
  /** A character or `tab`; null finds it. */
  readonly delimiter: string | null;
  /** Null is UTF-8, or what the byte order mark says. */
  readonly encoding: string | null;
}

/**
 * Reads a table with a header (RFC 4180, any of the usual separators and encodings) to rows by their ids. Ids and labels are trimmed and
 * in Unicode NFC. A row with a fault is left out.
 * @param faults takes every fault of a row; {@link TableFaults.check} throws them
 * @param options.classes the legal labels; null if any is legal
 * @param options.lookAlikes whether labels that look alike are legal
 * @throws TrommelError `not-found`; `bad-dataset` naming the file and the line, for a fault of the whole table
 */
export async function readCsvLabels(
  faults: TableFaults,
  columns: CsvColumns,
  options: CsvForm & {
    readonly classes: ReadonlySet<string> | null;
    readonly lookAlikes: "refuse" | "keep";
  },
): Promise<Map<string, CsvRow>> {
  const { file } = faults;
  const { encoding } = options;
  const bytes = toUtf8(await readLabelFile(what, file), {
    ...{ what, file, encoding },
    code: "bad-dataset",
    flag: "--encoding",
  });
  const separator = findSeparator(bytes, options.delimiter, [
    tidyText(columns.idColumn),
    tidyText(columns.labelColumn),
  ]);
  if ("why" in separator) throw faults.last(doing, 1, separator.why, "Leave the delimiter out");
  const rows = new Map<string, CsvRow>();
  const checks = rowChecks(columns, options.classes);
  let header: Header | undefined;
  for await (const { record, line } of recordsOf(bytes, separator, faults)) {
    if (record.every((cell) => cell.trim() === "")) continue;
    if (header === undefined) {
      const found = readHeader(record, columns, separator.delimiter);
      if ("why" in found) throw faults.last(doing, line, found.why, found.remedy);
      header = found;
      continue;
    }
    const row = checks.read(record, header, rows);
    if ("why" in row) faults.add(line, row.why, row.remedy);
    else rows.set(row.id, { label: row.label, line, others: row.others });
  }
  if (faults.count === 0 && rows.size === 0) {
    const names = `${JSON.stringify(columns.idColumn)} and ${JSON.stringify(columns.labelColumn)}`;
    throw header === undefined
      ? faults.last(
          doing,
          1,
          "it is empty",
          `Write a header with the columns ${names}, and a row for each image`,
        )
      : faults.last(doing, 1, "it has a header and no rows", "Add a row for each image that has a label");
  }
  if (options.lookAlikes === "refuse") checkLookAlikes(rows, faults);
  return rows;
}

type Fault = { readonly why: string; readonly remedy?: string };

function rowChecks(columns: CsvColumns, classes: ReadonlySet<string> | null) {
  const byShape = classes === null ? undefined : new Map([...classes].map((name) => [shapeOf(name), name]));
  const idColumn = JSON.stringify(columns.idColumn);
  const labelColumn = JSON.stringify(columns.labelColumn);
  return {
    read(
      record: readonly string[],
      header: Header,
      rows: ReadonlyMap<string, CsvRow>,
    ): Fault | { id: string; label: string; others: string[] } {
      if (record.length !== header.width)
        return {
          why: `it has ${record.length} ${record.length === 1 ? "column" : "columns"}, and the header has ${header.width}`,
        };
      const id = tidyText(record[header.id] ?? "");
      const label = tidyText(record[header.label] ?? "");
      if (id === "") return { why: `its ${idColumn} is empty` };
      if (label === "") return { why: `its ${labelColumn} is empty` };
      const illegal = whyIllegalLabel(label);
      if (illegal !== undefined) return { why: illegal, remedy: "Remove the character" };
      const earlier = rows.get(id);
      if (earlier !== undefined)
        return { why: `the id ${quoteVisibly(id)} already occurs on line ${earlier.line}` };
      if (classes !== null && !classes.has(label)) {
        const like = byShape?.get(shapeOf(label));
        const has = like === undefined ? "" : `, which has ${quoteVisibly(like)}`;
        return { why: `the class ${quoteVisibly(label)} is not in the class list${has}` };
      }
      return { id, label, others: header.others.map((position) => tidyText(record[position] ?? "")) };
    },
  };
}

/** One fault for each label that looks like an earlier one, on the first line that has it. */
function checkLookAlikes(rows: ReadonlyMap<string, CsvRow>, faults: TableFaults): void {
  const seen = new Map<string, { line: number; count: number }>();
  for (const { label, line } of rows.values()) {
    const known = seen.get(label);
    if (known === undefined) seen.set(label, { line, count: 1 });
    else known.count += 1;
  }
  for (const { label, like } of findLookAlikes(seen.keys())) {
    const [own, other] = [seen.get(label), seen.get(like)];
    faults.add(
      own?.line ?? 1,
      `the class ${quoteVisibly(label)} (rows: ${own?.count}) looks like ${quoteVisibly(like)} (rows: ${other?.count}, the first on line ${other?.line})`,
      lookAlikesRemedy,
    );
  }
}

/** What to do about classes that look alike. */
export const lookAlikesRemedy =
  "Give them one spelling, or keep them as two classes with --set labels.lookAlikes=keep";

interface CsvRecord {
  readonly record: readonly string[];
  /** The line on which the record begins. */
  readonly line: number;
}

/** csv-parse counts CRLF within quotes twice, so lines are counted from its byte positions. */
async function* recordsOf(
  bytes: Uint8Array,
  { delimiter, skipped }: { readonly delimiter: string; readonly skipped: number },
  faults: TableFaults,
): AsyncGenerator<CsvRecord> {
  const body = bytes.subarray(skipped);
  const before = skipped === 0 ? 0 : 1;
  const parser = parse({
    delimiter,
    info: true,
    record_delimiter: ["\r\n", "\n", "\r"],
    relax_column_count: true,
    skip_empty_lines: true,
    // An error would drop the rows that are parsed and not read yet.
    skip_records_with_error: true,
    on_skip: (error) => {
      const line = typeof error?.["lines"] === "number" ? error["lines"] : 1;
      faults.add(line + before, `it is not CSV (${error?.message ?? "it cannot be parsed"})`);
    },
  });
  let counted = 0;
  let ends = before;
  const endsBefore = (end: number): number => {
    for (; counted < end; counted += 1) if (endsLine(body, counted)) ends += 1;
    return ends;
  };
  // In chunks, so that rows are read while the parser continues.
  const chunks = Readable.from(chunksOf(body), { objectMode: false });
  try {
    for await (const { record, info } of chunks.pipe(parser) as AsyncIterable<{
      record: string[];
      info: Info;
    }>) {
      const last = body[info.bytes - 1];
      const inside = record.reduce((sum, field) => sum + (field.split(/\r\n|\n|\r/).length - 1), 0);
      yield { record, line: endsBefore(info.bytes) + (last === 0x0a || last === 0x0d ? 0 : 1) - inside };
    }
  } finally {
    chunks.destroy();
    parser.destroy();
  }
}

/** Whether a line ends at a byte: at a line feed, or a carriage return without one. */
function endsLine(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0x0a || (bytes[at] === 0x0d && bytes[at + 1] !== 0x0a);
}

function* chunksOf(bytes: Uint8Array): Generator<Uint8Array> {
  const chunkBytes = 1 << 16;
  for (let start = 0; start < bytes.length; start += chunkBytes)
    yield bytes.subarray(start, start + chunkBytes);
}
