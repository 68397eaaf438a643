import { Readable } from "node:stream";
import { readChunks } from "@trommel/common/store";
import { parse, type Info } from "csv-parse";
import { findSeparator } from "../../labels/separator.js";
import { tidyText } from "../../labels/text/check-label.js";
import type { ManifestFile } from "./manifest-files.js";
import { unreadableTable, type TableRow } from "./table-row.js";

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
  const input = Readable.from(bytes(), { objectMode: false });
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
          `it has ${record.length} columns, and the header has ${names.length}`,
          "Correct the line",
        );
      yield { line: begins, names, cell: (name) => cellOf(record, places.get(name)) };
    }
  } catch (thrown) {
    const { code, lines, message } = thrown as { code?: unknown; lines?: unknown; message: string };
    if (typeof code !== "string" || !code.startsWith("CSV_")) throw thrown;
    throw unreadableTable(
      file,
      typeof lines === "number" ? lines : line,
      `it is not CSV (${message})`,
      "Correct the line",
    );
  } finally {
    input.destroy();
    parser.destroy();
    await chunks.return();
  }
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
