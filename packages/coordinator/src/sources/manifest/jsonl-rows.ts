import { messageOf } from "@trommel/common";
import { byteLines, readChunks } from "@trommel/common/store";
import type { ManifestFile } from "./manifest-files.js";
import { unreadableTable, type TableRow } from "./table-row.js";

/** A row is a few columns; a line that is longer is another kind of file. */
const lineBytesAtMost = 16 * 1024 * 1024;

/**
 * The rows of a file of JSON objects, one in a line, as a stream.
 * @throws TrommelError `bad-dataset` naming the line
 */
export async function* jsonlRows({ store, object, name: file }: ManifestFile): AsyncGenerator<TableRow> {
  let number = 0;
  for await (const text of linesOf(file, readChunks(store, object))) {
    number += 1;
    if (text.trim() === "") continue;
    const value = parseObject(file, number, text);
    yield {
      line: number,
      names: Object.keys(value),
      cell: (name) => (Object.hasOwn(value, name) ? value[name] : null),
    };
  }
}

function parseObject(file: string, line: number, text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    const why = messageOf(thrown);
    throw unreadableTable(file, line, `it is not JSON (${why})`, "Correct the line");
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw unreadableTable(file, line, "it is no JSON object", 'Write {"key": …} in each line');
}

/** Each line as text. */
async function* linesOf(file: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const refuse = (line: number): Error =>
    unreadableTable(
      file,
      line,
      `it is longer than ${lineBytesAtMost} bytes`,
      "Write one JSON object in each line",
    );
  let number = 0;
  for await (const line of byteLines(chunks, { bytesAtMost: lineBytesAtMost, tooLong: refuse })) {
    number += 1;
    let text: string;
    try {
      text = decoder.decode(line);
    } catch {
      throw unreadableTable(file, number, "it is not UTF-8", "Write the file as UTF-8");
    }
    yield text;
  }
}
