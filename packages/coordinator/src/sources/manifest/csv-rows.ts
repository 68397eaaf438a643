import { Readable } from "node:stream";
import type { TrommelError } from "@trommel/common";
import { readChunks } from "@trommel/common/store";
import { CsvError, parse, type Info } from "csv-parse";
import { findSeparator } from "../../labels/separator.js";
import { tidyText } from "../../labels/text/check-label.js";
import type { ManifestFile } from "./manifest-files.js";
import { unreadableTable, type TableRow } from "./table-row.js";
import { utf8Only } from "./utf8-only.js";

/**
 * The rows of a CSV table with a header in UTF-8, as a stream. Its separator is found as that of a table of labels is.
 * @param wanted columns by which the separator is found
 * @throws TrommelError `bad-dataset` naming the line
 */
export async function* csvRows(
  { store, object, name: file }: ManifestFile,
  wanted: readonly string[],
): AsyncGenerator<TableRow> {
  const chunks = readChunks(store, object);
  const first = await chunks.next();
  const head = first.done === true ? new Uint8Array() : first.value;
  const separator = findSeparator(head, null, wanted);
  if ("why" in separator) throw unreadableTable(file, 1, separator.why, "Leave the line out");
  const { delimiter, skipped } = separator;
  const parser = parse({
    delimiter,
    bom: true,
    info: true,
    record_delimiter: ["\r\n", "\n", "\r"],
    relax_column_count: true,
    skip_empty_lines: true,
    encoding: "utf8",
  });
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield head.subarray(skipped);
    yield* chunks;
  }
  const isUtf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  const input = Readable.from(isUtf16 ? bytes() : utf8Only(file, bytes(), skipped === 0 ? 1 : 2), {
    objectMode: false,
  });
  input.on("error", (error) => parser.destroy(error));
  let header: { readonly names: readonly string[]; readonly places: ReadonlyMap<string, number> } | undefined;
  let line = skipped === 0 ? 1 : 2;
  try {
    for await (const { record, info } of input.pipe(parser) as AsyncIterable<{
      record: string[];
      info: Info;
    }>) {
      const begins = line;
      line = info.lines + (skipped === 0 ? 1 : 2);
      if (record.every((cell) => cell.trim() === "")) continue;
      if (header === undefined) {
        header = headerOf(file, begins, record);
        continue;
      }
      const { names, places } = header;
      if (record.length !== names.length)
        throw unreadableTable(
          file,
          begins,
          `it has ${record.length} ${record.length === 1 ? "column" : "columns"}, and the header has ${names.length}`,
          "Correct the line",
        );
      yield { line: begins, names, cell: (name) => cellOf(record, places.get(name)) };
    }
  } catch (thrown) {
    if (!(thrown instanceof CsvError)) throw thrown;
    throw brokenCsv(file, thrown, skipped === 0 ? 0 : 1);
  } finally {
    input.destroy();
    parser.destroy();
    await chunks.return();
  }
}

/** @param before lines that the parser has not seen */
function brokenCsv(file: string, { code, message, ...at }: CsvError, before: number): TrommelError {
  // Its type does not have what it adds to an error: where it is, and how many records are whole.
  const { lines = 1, records = 0 } = at as { readonly lines?: number; readonly records?: number };
  const why =
    code === "CSV_QUOTE_NOT_CLOSED"
      ? `a quote that opens after ${records} whole records is never closed`
      : message;
  const remedy = 'Put a cell that has quotes into quotes, and write each of its own twice: "12"" pipe"';
  return unreadableTable(file, lines + before, `it is not CSV (${why})`, remedy);
}

function headerOf(file: string, line: number, record: readonly string[]) {
  const names = record.map(tidyText);
  const places = new Map<string, number>();
  for (const [place, name] of names.entries()) {
    if (places.has(name))
      throw unreadableTable(
        file,
        line,
        `the header has two columns ${JSON.stringify(name)}`,
        "Give each column a name of its own",
      );
    places.set(name, place);
  }
  return { names, places };
}

/** An empty cell holds nothing. */
function cellOf(record: readonly string[], place: number | undefined): string | null {
  const cell = place === undefined ? "" : record[place];
  return cell === undefined || cell === "" ? null : cell;
}
