import { Readable } from "node:stream";
import { TrommelError } from "@trommel/common";
import { CsvError, parse, type Info } from "csv-parse";
import { decodeLabelFile, placeIn, readLabelFile } from "./label-file.js";

const what = "the labels";

/** A row of the table: the id of its image, and the image's label. */
export interface CsvRow {
  readonly label: string;
  /** In the file, from 1. */
  readonly line: number;
  /** What the other columns hold that were asked for, in that order. */
  readonly others: readonly string[];
}

export interface CsvColumns {
  readonly idColumn: string;
  readonly labelColumn: string;
  /** More columns to read, by their names; a cell may be empty. @default none */
  readonly others?: readonly string[];
}

/**
 * Reads a table with a header (RFC 4180, UTF-8) to rows by their ids. Every text is normalised (Unicode NFC).
 * @param file a path, `file:` or `s3://` location
 * @param classes the legal labels; null if any is legal
 * @throws TrommelError `not-found`; `bad-dataset` naming the file and the line
 */
export async function readCsvLabels(
  file: string,
  columns: CsvColumns,
  classes: ReadonlySet<string> | null,
): Promise<Map<string, CsvRow>> {
  const bytes = await readLabelFile(what, file);
  decodeLabelFile(bytes, what, file, "bad-dataset");
  const rows = new Map<string, CsvRow>();
  let header: Header | undefined;
  for await (const { record, line } of recordsOf(bytes, file)) {
    if (header === undefined) {
      header = readHeader(record, columns, file, line);
      continue;
    }
    const { id, label, others } = readRow(record, header, columns, file, line);
    const earlier = rows.get(id);
    if (earlier !== undefined)
      throw refused(file, line, `the id ${JSON.stringify(id)} already occurs on line ${earlier.line}`);
    if (classes !== null && !classes.has(label))
      throw refused(file, line, `the class ${JSON.stringify(label)} is not in the class list`);
    rows.set(id, { label, line, others });
  }
  if (header === undefined) throw refused(file, 1, "it is empty");
  if (rows.size === 0) throw refused(file, 1, "it has a header and no rows");
  return rows;
}

interface Header {
  readonly width: number;
  readonly id: number;
  readonly label: number;
  readonly others: readonly number[];
}

function readHeader(record: readonly string[], columns: CsvColumns, file: string, line: number): Header {
  const names = record.map((column) => column.normalize("NFC"));
  const positionOf = (column: string, flag: string): number => {
    const name = column.normalize("NFC");
    const position = names.indexOf(name);
    const separator =
      record.length === 1 ? [";", "\t"].find((other) => record[0]?.includes(other)) : undefined;
    if (position === -1 && separator !== undefined)
      throw refused(
        file,
        line,
        `the header is one column, ${JSON.stringify(record[0])}: the separator must be a comma, and here it is ${separator === ";" ? "a semicolon" : "a tab"}`,
        undefined,
        "Save the table as CSV with commas",
      );
    const found = record.map((column) => JSON.stringify(column)).join(", ");
    if (position === -1)
      throw refused(
        file,
        line,
        `the header has no column ${JSON.stringify(name)} (${flag}); it has ${found}`,
      );
    if (names.lastIndexOf(name) !== position)
      throw refused(file, line, `the header has the column ${JSON.stringify(name)} twice`);
    return position;
  };
  const id = positionOf(columns.idColumn, "--id-column");
  const label = positionOf(columns.labelColumn, "--label-column");
  if (id === label)
    throw refused(file, line, `the id and the label are the same column ${JSON.stringify(columns.idColumn)}`);
  const others = (columns.others ?? []).map((name) => positionOf(name, "split"));
  return { width: record.length, id, label, others };
}

function readRow(
  record: readonly string[],
  header: Header,
  columns: CsvColumns,
  file: string,
  line: number,
): { id: string; label: string; others: string[] } {
  if (record.length !== header.width)
    throw refused(file, line, `it has ${record.length} columns, and the header has ${header.width}`);
  const id = record[header.id] ?? "";
  const label = record[header.label] ?? "";
  for (const [column, value] of [
    [columns.idColumn, id],
    [columns.labelColumn, label],
  ] as const) {
    if (value.trim() === "") throw refused(file, line, `its ${JSON.stringify(column)} is empty`);
    if (value !== value.trim())
      throw refused(
        file,
        line,
        `its ${JSON.stringify(column)} begins or ends with white space: ${JSON.stringify(value)}`,
      );
  }
  const others = header.others.map((position) => (record[position] ?? "").trim().normalize("NFC"));
  return { id: id.normalize("NFC"), label: label.normalize("NFC"), others };
}

interface CsvRecord {
  readonly record: readonly string[];
  /** The line on which the record begins. */
  readonly line: number;
}

/** csv-parse counts CRLF within quotes twice, so lines are counted from its byte positions. */
async function* recordsOf(bytes: Uint8Array, file: string): AsyncGenerator<CsvRecord> {
  const parser = parse({
    bom: true,
    info: true,
    record_delimiter: ["\r\n", "\n"],
    relax_column_count: true,
    skip_empty_lines: true,
  });
  let counted = 0;
  let feeds = 0;
  const feedsBefore = (end: number): number => {
    for (; counted < end; counted += 1) if (bytes[counted] === 0x0a) feeds += 1;
    return feeds;
  };
  // In chunks, so that rows are read while the parser continues.
  const chunks = Readable.from(chunksOf(bytes), { objectMode: false });
  try {
    for await (const { record, info } of chunks.pipe(parser) as AsyncIterable<{
      record: string[];
      info: Info;
    }>) {
      const endsAtFeed = bytes[info.bytes - 1] === 0x0a;
      const inside = record.reduce((sum, field) => sum + (field.split("\n").length - 1), 0);
      yield { record, line: feedsBefore(info.bytes) + (endsAtFeed ? 0 : 1) - inside };
    }
  } catch (thrown) {
    if (!(thrown instanceof CsvError)) throw thrown;
    const line = typeof thrown["lines"] === "number" ? thrown["lines"] : 1;
    throw refused(file, line, `it is not CSV (${thrown.message})`, thrown);
  } finally {
    chunks.destroy();
    parser.destroy();
  }
}

function* chunksOf(bytes: Uint8Array): Generator<Uint8Array> {
  const chunkBytes = 1 << 16;
  for (let start = 0; start < bytes.length; start += chunkBytes)
    yield bytes.subarray(start, start + chunkBytes);
}

function refused(
  file: string,
  line: number,
  why: string,
  cause?: unknown,
  remedy = "Correct the line",
): TrommelError {
  return new TrommelError("bad-dataset", `cannot read ${what} ${placeIn(file, line)}: ${why}. ${remedy}`, {
    ...(cause === undefined ? {} : { cause }),
    context: { file, line },
  });
}
